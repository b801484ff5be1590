"""A grid of toy runs, each in a thread of this process instead of a process of its own."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from omnimask.commands.main import main
from omnimask.recipe.search_space import read_space
from omnimask.training import several
from omnimask.training.several import RunJob
from omnimask.training.trials import Trials

RECIPE = "tests.unit.toy_recipe:toy_recipe"
SWEEP = ["sweep", RECIPE, "--over", "masker.ratio=0.5,0.75", "--seeds", "2"]
SHORT = ["--set", "optim.steps=2", "--set", "optim.warmup_steps=1"]


class Done:
    """As a process that has ended."""

    def __init__(self, status: int) -> None:
        self.status = status

    def poll(self) -> int:
        return self.status

    def terminate(self) -> None: ...

    def wait(self) -> int:
        return self.status


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were started, by name; those of seed 1 fail the first time."""
    names: list[str] = []

    def start(job: RunJob, variables: Mapping[str, str]) -> Done:
        names.append(job.name)
        job.log.parent.mkdir(exist_ok=True, parents=True)
        job.log.write_text("something\nout of memory\n")
        if "seed=1" in job.name and names.count(job.name) == 1:
            return Done(1)
        return Done(main(job.arguments))

    monkeypatch.setattr(several, "start", start)
    return names


def test_a_sweep_runs_the_grid_goes_on_and_ends_in_a_page(
    tmp_path: Path, started: list[str], capsys: pytest.CaptureFixture[str]
):
    command = [*SWEEP, *SHORT, "--jobs", "2", "--out", str(tmp_path)]
    assert main(command) == 2
    first = ["masker.ratio=0.5+seed=0", "masker.ratio=0.75+seed=0"]
    second = ["masker.ratio=0.5+seed=1", "masker.ratio=0.75+seed=1"]
    assert sorted(started) == sorted([*first, *second])
    captured = capsys.readouterr()
    assert "2 of 4 runs failed" in captured.err
    assert "out of memory" in (tmp_path / "index.html").read_text()

    started.clear()
    started += second  # they have been tried
    assert main(command) == 0
    assert started == [*second, *second], "what was done is not done again"
    assert "4 runs in" in capsys.readouterr().out
    page = (tmp_path / "index.html").read_text()
    assert "out of memory" not in page
    assert "of 2</span>" in page, "means over the two seeds"


def test_a_setting_that_cannot_be_had_is_refused_before_anything_runs(
    tmp_path: Path, started: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(["sweep", RECIPE, "--over", "masker.ratio=0.5,75", "--out", str(tmp_path)]) == 2
    assert started == []
    assert "ratio" in capsys.readouterr().err


def test_a_search_goes_on_where_it_was_and_ends_in_a_page(
    tmp_path: Path, started: list[str], capsys: pytest.CaptureFixture[str]
):
    spaces = ["--search", "optim.lr=log:1e-4:3e-3", "--search", "masker.ratio=0.5:0.9"]
    command = ["sweep", RECIPE, *spaces, *SHORT, "--out", str(tmp_path)]
    assert main([*command, "--trials", "2"]) == 0
    first = "2 trials in .*, 0 of them done"
    out = capsys.readouterr().out
    assert re.search(first, out)
    assert started == ["trial-0000+seed=0", "trial-0001+seed=0"]
    lines = [line for line in out.splitlines() if re.match(r"trial \d: optim\.lr=", line)]
    assert len(set(lines)) == 2
    rates = [float(re.search(r"optim\.lr=(\S+)", line)[1]) for line in lines]  # pyright: ignore
    assert all(1e-4 <= rate <= 3e-3 for rate in rates)
    losses = [float(line.rpartition(" ")[2]) for line in lines]
    assert f"lowest loss: {min(losses):.6g}" in out
    assert f"lowest loss: {min(losses):.6g}" in (tmp_path / "index.html").read_text()

    started.clear()
    assert main([*command, "--trials", "3"]) == 0
    assert started == ["trial-0002+seed=0"], "what was done is not done again"
    assert "3 trials in" in capsys.readouterr().out
    assert main([*command, "--trials", "3", "--seeds", "2"]) == 2
    assert "belongs to another search (seeds: 1 -> 2)" in capsys.readouterr().err


def test_a_trial_that_was_interrupted_is_finished_and_one_that_fails_is_left_out(
    tmp_path: Path, started: list[str], capsys: pytest.CaptureFixture[str]
):
    command = ["sweep", RECIPE, "--search", "masker.ratio=0.5,0.75", *SHORT, "--seeds", "2"]
    command += ["--trials", "1", "--out", str(tmp_path), "--maximise", "tokens_per_s"]
    assert main(command) == 2
    assert "1 of 2 runs failed; trial-0000+seed=1 failed" in capsys.readouterr().err
    spaces = [read_space("masker.ratio=0.5,0.75")]
    said = json.loads((tmp_path / "search.json").read_text())
    trials = Trials(tmp_path, spaces, maximise=True, seed=0, said=said)
    trials.next()  # and then the machine stops
    started.clear()
    started.append("trial-0001+seed=1")  # it has been tried
    assert main([*command[:-2], "--maximise", "tokens_per_s", "--trials", "2"]) == 0
    assert started[1:] == ["trial-0001+seed=0", "trial-0001+seed=1"]
    assert "highest tokens_per_s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (["optim.lr"], "--search takes a field and its values"),
        (["optim.lr=a:b:c"], "is no range"),
        (["optim.lr=log:0:1"], "begins above 0"),
        (["optim.lr=2:1"], "must be below"),
        (["optim.lr=1:x"], "is a number"),
        (["encoder.depth=int:1.5:2"], "is a whole number"),
        (["optim.lr=1e-4:1e-3", "--search", "optim.lr=1:2"], "stands there twice"),
        (["masker.ratio=0.5:7"], "ratio"),
        (["masker.rati=0.5:0.7"], "ratio"),
        (["masker.ratio=0.5:0.7", "--over", "seed=1,2"], "give one of the two"),
        (["masker.ratio=0.5:0.7", "--trials", "0"], "--trials must be >= 1"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_anything_runs(
    said: list[str], wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["sweep", RECIPE, "--search", *said, "--out", str(tmp_path / "out")]) == 2
    assert wrong in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_number_that_no_run_has_is_named(
    tmp_path: Path, started: list[str], capsys: pytest.CaptureFixture[str]
):
    command = ["sweep", RECIPE, "--search", "masker.ratio=0.5:0.9", *SHORT, "--trials", "1"]
    assert main([*command, "--out", str(tmp_path), "--minimise", "los"]) == 2
    assert "no number called 'los'; did you mean loss" in capsys.readouterr().err


def test_optuna_is_named_when_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    out = ["--out", str(tmp_path / "out")]
    assert main(["sweep", RECIPE, "--search", "masker.ratio=0.5:0.9", *out]) == 2
    assert "uv pip install 'omnimask[optuna]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
