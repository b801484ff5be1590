"""Two processes share a batch and fine-tune as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from omnimask.training.loop import carry_out
from omnimask.transfer.finetuning.job import FineTuning
from tests.recipes.finetune_all import CASES, case
from tests.unit.runs import losses, weights

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs_of_two(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "tests.recipes.finetune_all", str(sample_data), str(out)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.mark.parametrize("name", CASES)
def test_two_processes_equal_one(
    name: str, runs_of_two: Path, sample_data: Path, tmp_path: Path
) -> None:
    carry_out(FineTuning(recipe=case(name, sample_data)), tmp_path / "one")
    one, two = losses(tmp_path / "one"), losses(runs_of_two / name)
    assert one.keys() == two.keys() == {1, 2, 3, 4}
    for step, loss in one.items():
        assert two[step] == pytest.approx(loss, rel=1e-4, abs=1e-4), step
    own, other = weights(tmp_path / "one"), weights(runs_of_two / name)
    apart = torch.cat([(own[k].float() - other[k].float()).abs().flatten() for k in own])
    assert apart.max() < 4e-3  # Adam makes a step of the rate out of the smallest gradient
    assert apart.mean() < 2e-6  # but hardly any gradient is so small
    first, second = (evaluations(run) for run in (tmp_path / "one", runs_of_two / name))
    assert first == pytest.approx(second, abs=0.05)


def evaluations(run: Path) -> list[float]:
    lines = (run / "evaluations.jsonl").read_text().splitlines()
    return [list(json.loads(line).values())[-1] for line in lines]
