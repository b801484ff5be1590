"""Several runs, each in a process of its own, a few at a time."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunJob:
    """The arguments of an `omnimask` command; what it says goes into `log`."""

    name: str
    arguments: tuple[str, ...]
    log: Path


def start(job: RunJob, variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """`python -m omnimask` with the job's arguments."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("a") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "omnimask", *job.arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
        )


def run_all(
    jobs: Sequence[RunJob], *, at_once: int, num_gpus: int, said: Callable[[str], None]
) -> dict[str, int]:
    """Exit statuses by name; a job that fails does not stop the others.

    Cores are shared out among the jobs that run at once, and each has one of several GPUs. When
    this process is interrupted, the jobs are told to stop, and are waited for.
    """
    waiting, running, done = list(jobs), {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                place = next(i for i in range(at_once) if i not in {p for _, p in running.values()})
                variables = _share(place, at_once=at_once, num_gpus=num_gpus)
                running[job.name] = (start(job, variables), place)
                said(f"{job.name}: started")
            for name, (process, _) in list(running.items()):
                status = process.poll()
                if status is not None:
                    del running[name]
                    done[name] = status
                    said(f"{name}: {'done' if status == 0 else f'ended with status {status}'}")
            time.sleep(_POLL_S if running else 0)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait()
    return done


def _share(place: int, *, at_once: int, num_gpus: int) -> dict[str, str]:
    variables = {}
    if at_once > 1 and "OMP_NUM_THREADS" not in os.environ:
        variables["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // at_once, 1))
    if num_gpus > 1:
        variables["CUDA_VISIBLE_DEVICES"] = str(place % num_gpus)
    return variables
