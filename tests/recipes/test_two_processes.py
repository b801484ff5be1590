"""Two processes share a batch and learn what one learns of it, for every recipe."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recipes.catalogue import DEBUG
from tests.unit.runs import lines

ROOT = Path(__file__).resolve().parents[2]
# Tables have gaps, so that every micro-batch of every process counts another number of cells.
ACCUMULATING = "recipes.remasker:debug accumulating"


@pytest.fixture(scope="module")
def runs_of_two(
    request: pytest.FixtureRequest, few_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The runs of all tests of this file that were asked for."""
    out = tmp_path_factory.mktemp("two")
    tests = [item for item in request.session.items if item.path == request.path]
    names = [item.callspec.params["name"] for item in tests if isinstance(item, pytest.Function)]
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    train_all = ("-m", "tests.recipes.train_all", str(few_files), str(out))
    done = subprocess.run(
        [sys.executable, *launcher, *train_all, *names],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", [*DEBUG, pytest.param(ACCUMULATING, id="accumulating")])
def test_two_processes_equal_one(name: str, runs_of_two: Path, whole_run: Callable[[str], Path]):
    one = lines(whole_run(name.partition(" ")[0]))
    two = lines(runs_of_two / name.replace(":", "."))
    assert [line["step"] for line in one] == [line["step"] for line in two]
    for own, others in zip(one, two, strict=True):
        # AdamW's first steps divide tiny gradients by themselves, so that rounding grows.
        tolerance = {"loss": 1e-4, "grad_norm": 1e-4 if own["step"] == 1 else 1e-3}
        for key, rel in tolerance.items():
            assert others[key] == pytest.approx(own[key], rel=rel, abs=1e-4), (own["step"], key)
        tokens = [key for key in own if key.startswith("tokens/")]
        assert [own[key] for key in tokens] == [others[key] for key in tokens]
