"""Real processes on real files: killed, resumed, stopped, doubled."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from omnimask.training.checkpoint import last_checkpoint, list_checkpoints

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def command(data: Path, out: Path, *settings: str, launcher: tuple[str, ...] = ()) -> list[str]:
    start = launcher or (sys.executable, "-m", "omnimask")
    sets = [f"data.root={data}", "optim.steps=10", "run.checkpoint_every=3", *settings]
    return [
        *start,
        "pretrain",
        "recipes.omni:debug",
        "--out",
        str(out),
        *(part for assignment in sets for part in ("--set", assignment)),
    ]


def environment(processes: int = 1) -> dict[str, str]:
    """Two threads: whichever adds first, the sums must be the same."""
    threads = {"OMP_NUM_THREADS": str(2 // processes), "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **threads}  # waiting threads leave the cores to the tests beside them


def run(*arguments: Any, **keywords: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, **keywords),
        cwd=ROOT,
        env=environment(processes=2 if "launcher" in keywords else 1),
        check=True,
        text=True,
        capture_output=True,
        timeout=300,
    )


def losses(out: Path) -> dict[int, float]:
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


def wait_for_step(process: subprocess.Popen[str], out: Path, step: int) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        path = out / "metrics.jsonl"
        if path.exists() and path.read_text().count("\n") >= step:
            return
        assert process.poll() is None, f"the run ended early: {process.communicate()[1]}"
        time.sleep(0.02)
    raise AssertionError(f"no step {step} within 200 s")


def start(data: Path, out: Path, *settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(data, out, *settings),
        cwd=ROOT,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(sample_data, out)
    return out


def assert_equal_runs(first: Path, second: Path) -> None:
    expected = load_file(last_checkpoint(first) / "model.safetensors")
    got = load_file(last_checkpoint(second) / "model.safetensors")
    for name, tensor in expected.items():
        assert torch.equal(tensor, got[name]), name
    assert losses(first) == losses(second)


def test_a_killed_run_goes_on_bit_equal(whole: Path, sample_data: Path, tmp_path: Path):
    """Before the first checkpoint, and between two; resumed with another number of workers."""
    for step in (2, 5):
        process = start(sample_data, tmp_path / "run")
        wait_for_step(process, tmp_path / "run", step)
        process.kill()
        process.communicate()
    run(sample_data, tmp_path / "run", "run.num_workers=2")
    assert_equal_runs(whole, tmp_path / "run")


def test_kills_at_any_moment_lose_nothing(whole: Path, sample_data: Path, tmp_path: Path):
    out = tmp_path / "run"
    for seconds in (6.0, 8.0, 9.5):  # imports, first steps, around a checkpoint
        process = start(sample_data, out)
        time.sleep(seconds)
        process.kill()
        process.communicate()
    run(sample_data, out)
    assert_equal_runs(whole, out)
    assert not list((out / "checkpoints").glob("*unfinished"))


def test_a_terminated_run_saves_first(sample_data: Path, tmp_path: Path):
    """The signal goes to the loader's workers too, as a scheduler or Ctrl-C sends it."""
    out = tmp_path / "run"
    settings = ("optim.steps=200", "run.checkpoint_every=1000", "run.num_workers=2")
    process = start(sample_data, out, *settings)
    wait_for_step(process, out, 2)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "stopped by SIGTERM after step" in errors
    assert len(list_checkpoints(out)) == 1


def test_two_processes_share_the_batch_of_one(whole: Path, sample_data: Path, tmp_path: Path):
    launcher = (
        sys.executable,
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *("-m", "omnimask"),
    )
    run(sample_data, tmp_path / "two", launcher=launcher)
    one, two = losses(whole), losses(tmp_path / "two")
    assert one.keys() == two.keys() == set(range(1, 11))
    for step, loss in one.items():
        assert two[step] == pytest.approx(loss, abs=1e-4), step
