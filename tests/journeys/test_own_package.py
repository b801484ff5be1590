"""The whole road from a package outside the repository, which CONTRIBUTING.md leads through."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from safetensors.torch import load_file

from omnimask.training.checkpoint import last_checkpoint, list_checkpoints
from tests.journeys.commands import omnimask
from tests.journeys.contributing import commands_shown, write_package, write_pulses

ROOT = Path(__file__).resolve().parents[2]
PRETRAIN = ("pretrain", "my_parts.future:mine", "--out")
SHORT = ("--set", "optim.steps=60", "--set", "run.checkpoint_every=20")
PULSE = "data/held_out/periods-2/1.pulse"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, its data, an uninterrupted run, and one that was killed and went on."""
    folder = tmp_path_factory.mktemp("own")
    write_package(folder)
    write_pulses(folder)
    kill_between_two_checkpoints(folder)
    for out in ("runs/whole", "runs/mine"):
        status, said = omnimask(*PRETRAIN, out, *SHORT, folder=folder)
        assert status == 0, said
    return folder


def kill_between_two_checkpoints(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "omnimask", *PRETRAIN, "runs/mine", *SHORT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    metrics = folder / "runs/mine/metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and len(lines_of(metrics)) > 24):
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert [path.name for path in list_checkpoints(folder / "runs/mine")] == ["step-00000020"]


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_killed_run_goes_on_bit_equal(folder: Path):
    whole, mine = (last_checkpoint(folder / "runs" / name) for name in ("whole", "mine"))
    assert whole.name == mine.name == "step-00000060"
    expected, got = (load_file(path / "model.safetensors") for path in (whole, mine))
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    losses = [
        {line["step"]: line["loss"] for line in map(json.loads, lines_of(path))}
        for path in (folder / "runs" / name / "metrics.jsonl" for name in ("whole", "mine"))
    ]
    assert losses[0] == losses[1]
    assert losses[0][60] < losses[0][1]


def test_what_was_saved_is_not_loaded_unless_its_package_is_trusted(folder: Path):
    status, said = omnimask("report", "runs/mine", folder=folder)
    assert status == 2
    assert "'my_parts.pulses:Pulses' is of a package that is not trusted" in said
    assert "--trust my_parts" in said


def test_every_other_command_of_the_page_works(folder: Path):
    commands = [command for command in commands_shown() if command[:4] != [*PRETRAIN, "runs/mine"]]
    assert len(commands) == 9
    for command in commands:
        arguments = [PULSE if word == "PULSE" else word for word in command]
        status, said = omnimask(*arguments, folder=folder)
        assert status == 0, f"{' '.join(arguments)}\n{said}"
    assert (folder / "runs/mine/report/index.html").is_file()
    assert (folder / "masks.png").is_file()
    probed = json.loads((folder / "runs/probe/probe.json").read_text())
    assert "pulse" in json.dumps(probed)
    scores = json.loads((folder / "runs/classes/results.json").read_text())["streams"]["pulse"]
    assert 0.0 <= scores["scores"]["accuracy"]["value"] <= 1.0
    assert len(pandas.read_parquet(folder / "vectors.parquet")) == 12
    before, after = (np.loadtxt(folder / path) for path in (PULSE, "filled.pulse"))
    same = np.isclose(before, after, atol=1e-4).reshape(16, 4).all(axis=1)
    assert same.sum() == 8  # half of the tokens are the file's own, the others the model's
    assert np.isfinite(after).all()


def test_a_dry_run_trains_nothing_and_refuses_what_could_not_be_loaded(folder: Path):
    own = folder / "my_parts" / "broken.py"
    own.write_text(
        "from dataclasses import replace\n"
        "from my_parts import future\n"
        "def mine():\n"
        "    recipe = future.mine()\n"
        "    (told,) = recipe.objectives\n"
        "    loss = lambda predicted, truth: future.log_cosh(predicted, truth)\n"
        "    return replace(recipe, objectives=(replace(told, loss=loss),))\n"
    )
    for more in (["--dry-run"], ["--out", "runs/broken"]):
        status, said = omnimask("pretrain", "my_parts/broken.py:mine", *more, folder=folder)
        assert status == 2
        assert "recipe.objectives.future.loss: a lambda is defined in a function" in said
    assert not (folder / "runs/broken").exists()
