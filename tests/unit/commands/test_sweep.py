"""A grid of toy runs, each in a thread of this process instead of a process of its own."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from omnimask.commands.main import main
from omnimask.training import several
from omnimask.training.several import RunJob

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
