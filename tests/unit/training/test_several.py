"""Jobs that run beside one another: shares of the machine, statuses, and what an end leaves."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from omnimask.training import several
from omnimask.training.several import RunJob, run_all


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> dict[str, Mapping[str, str]]:
    """A job is a line of Python; by name what it was given of the machine."""
    given: dict[str, Mapping[str, str]] = {}

    def start(job: RunJob, variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        given[job.name] = variables
        return subprocess.Popen([sys.executable, "-S", "-c", *job.arguments])

    monkeypatch.setattr(several, "start", start)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(several.os, "cpu_count", lambda: 8)
    return given


def jobs(*code: str) -> list[RunJob]:
    return [RunJob(name=str(i), arguments=(c,), log=Path("unused")) for i, c in enumerate(code)]


def test_all_run_and_one_that_fails_stops_no_other(shares: dict[str, Mapping[str, str]]):
    said: list[str] = []
    code = ["pass", "raise SystemExit(3)", "pass"]
    done = run_all(jobs(*code), at_once=2, num_gpus=2, said=said.append)
    assert done == {"0": 0, "1": 3, "2": 0}
    assert "1: ended with status 3" in said
    assert [shares[name]["CUDA_VISIBLE_DEVICES"] for name in "01"] == ["0", "1"]
    assert {share["OMP_NUM_THREADS"] for share in shares.values()} == {"4"}


def test_an_interrupt_ends_what_runs(shares: dict[str, Mapping[str, str]]):
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(jobs("import time; time.sleep(60)"), at_once=1, num_gpus=0, said=interrupt)
