"""Two processes and files that one of them cannot read: both stop, soon, with the same words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("one_each", "2 files could not be read, more than data.max_bad_files=1"),
        ("second_only", "(set data.max_bad_files to train on without such files"),
    ],
)
def test_both_processes_stop_with_the_same_error(recipe: str, message: str, tmp_path: Path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    done = subprocess.run(
        [
            *(sys.executable, *launcher, "--tee=3", f"--log-dir={tmp_path / 'logs'}"),
            *("-m", "omnimask", "pretrain", f"tests.unit.bad_recipe:{recipe}"),
            f"--out={tmp_path / 'run'}",
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,  # a process that waited for the other would wait for half an hour
    )
    assert done.returncode != 0
    said = [path.read_text() for path in sorted((tmp_path / "logs").rglob("stderr.log"))]
    lines = [next(line for line in text.splitlines() if message in line) for text in said]
    assert len(lines) == 2
    assert lines[0].partition("omnimask: ")[2] == lines[1].partition("omnimask: ")[2] != ""
