"""Kills training at random moments for as long as asked; what it learns must be what it would have.

    python tools/torture.py --minutes 30 --recipes recipes.mae:debug recipes.omni:debug

Each recipe is trained once undisturbed and then, over and over, with SIGKILL, SIGTERM or SIGUSR1 to
one of its processes at random moments until a run is done. Weights, optimizer and every logged loss
must be equal, bit for bit. Exit status 1 where one is not; its folder is then kept. With several
processes equal means to the undisturbed run of as many.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from omnimask.training.checkpoint import last_checkpoint, load_any_checkpoint

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)
# A signal may come before there is a handler.
FINE = (
    0,
    75,
    76,
    -signal.SIGKILL,
    -signal.SIGTERM,
    -signal.SIGUSR1,
)
_MOST_RESTARTS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A recipe as it is started, in so many processes."""

    recipe: str
    settings: tuple[str, ...]
    world: int

    def start(self, out: Path) -> list["subprocess.Popen[bytes]"]:
        command = [sys.executable, "-m", "omnimask", "pretrain", self.recipe, "--out", str(out)]
        command += [part for setting in self.settings for part in ("--set", setting)]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        processes = []
        for rank in range(self.world):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self.world)}
            place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            with out.with_name(f"{out.name}-{rank}.log").open("ab") as log:
                processes.append(
                    subprocess.Popen(
                        command,
                        env={**os.environ, **(place if self.world > 1 else {})},
                        stdout=log,
                        stderr=log,
                    )
                )
        return processes


def whole(case: Case, out: Path) -> float:
    """Trains undisturbed; returns the seconds that it took."""
    began = time.monotonic()
    statuses = [process.wait() for process in case.start(out)]
    if any(statuses):
        raise SystemExit(
            f"{case.recipe} ends with {statuses} when nothing disturbs it; see {out}-*"
        )
    return time.monotonic() - began


def disturbed(
    case: Case, out: Path, seconds: float, rng: random.Random, count: Counter[str]
) -> str:
    """Trains with signals until it is done; what was wrong, or ""."""
    for _ in range(_MOST_RESTARTS):
        processes = case.start(out)
        deadline = time.monotonic() + rng.uniform(0.0, 1.2 * seconds)
        while time.monotonic() < deadline and any(p.poll() is None for p in processes):
            time.sleep(0.02)
        running = [process for process in processes if process.poll() is None]
        if running:
            number = rng.choice(SIGNALS)
            rng.choice(running).send_signal(number)
            count[number.name] += 1
        try:
            statuses = [process.wait(timeout=60 + 2 * seconds) for process in processes]
        except subprocess.TimeoutExpired:
            for process in processes:
                process.kill()
            return "a process waits for another that is gone"
        if any(status not in FINE for status in statuses):
            return f"processes end with {statuses}"
        if not any(statuses):
            return ""
    return f"not done after {_MOST_RESTARTS} restarts"


def difference(expected: Path, got: Path) -> str:
    """What two runs have learnt or logged differently, or ""."""
    first, second = (load_any_checkpoint(last_checkpoint(run)) for run in (expected, got))
    for part in ("weights", "optimizer"):
        left, right = (getattr(checkpoint, part) for checkpoint in (first, second))
        if left.keys() != right.keys():
            return f"the {part} have other names"
        for name in left:
            if not torch.equal(left[name], right[name]):
                return f"{part}: {name} differs"
    if first.state["samples_seen"] != second.state["samples_seen"]:
        return "samples were lost or taken twice"
    losses = [_losses(run) for run in (expected, got)]
    wrong = [step for step, loss in losses[1].items() if losses[0].get(step, loss) != loss]
    missing = sorted(losses[0].keys() - losses[1].keys())
    return f"losses differ at {wrong[:5]}, missing {missing[:5]}" if wrong or missing else ""


def _losses(run: Path) -> dict[int, float]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return {entry["step"]: entry["loss"] for entry in map(json.loads, lines)}


def torture(cases: Sequence[Case], folder: Path, *, minutes: float, seed: int) -> int:
    """As often as the time allows, each case at least once; returns how many went wrong."""
    rng, count, failures, rounds = random.Random(seed), Counter[str](), 0, 0
    end = time.monotonic() + 60 * minutes
    took = {case: whole(case, folder / f"whole-{n}") for n, case in enumerate(cases)}
    while rounds == 0 or time.monotonic() < end:
        for number, case in enumerate(cases):
            out = folder / f"run-{rounds}-{number}"
            wrong = disturbed(case, out, took[case], rng, count)
            wrong = wrong or difference(folder / f"whole-{number}", out)
            failures += bool(wrong)
            print(f"{case.recipe}: {wrong or 'equal'} ({dict(count)})", flush=True)
            if not wrong:
                shutil.rmtree(out)
        rounds += 1
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--recipes", nargs="+", default=["recipes.mae:debug", "recipes.omni:debug"])
    parser.add_argument("--data", default="data/sample")
    parser.add_argument("--set", action="append", default=[], help="as of omnimask pretrain")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="kept; a temporary folder without")
    parsed = parser.parse_args(arguments)
    # A log line for every step, so that stopping between two of them makes none that is new.
    own = (f"data.root={parsed.data}", "run.log_every=1", "run.report=False")
    cases = [
        Case(recipe=name, settings=(*own, *parsed.set), world=parsed.processes)
        for name in parsed.recipes
    ]
    folder = parsed.out or Path(tempfile.mkdtemp(prefix="torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    failures = torture(cases, folder, minutes=parsed.minutes, seed=parsed.seed)
    print(f"{failures} of the runs differ; {folder}" if failures else "every run is equal")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
