"""Two processes learn what one learns from a batch of twice the size, for every recipe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from omnimask.commands.pretrain import train
from tests.recipes.catalogue import DEBUG, load
from tests.unit.test_trainer import losses

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs_of_two(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "tests.recipes.train_all", str(sample_data), str(out)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("reference", DEBUG)
def test_two_processes_equal_one(
    reference: str, runs_of_two: Path, sample_data: Path, tmp_path: Path
):
    train(load(reference, sample_data), tmp_path / "one")
    one = losses(tmp_path / "one")
    two = losses(runs_of_two / reference.replace(":", "."))
    assert one.keys() == two.keys() == set(range(1, len(one) + 1))
    for step, loss in one.items():
        assert two[step] == pytest.approx(loss, rel=1e-4, abs=1e-4), step
