"""Runs of several processes, which are killed, signalled, starved and compared.

`python -m tests.faults.ranks OUT NAME...` does the scenarios of these names, one after another, and
writes what came of each into OUT/NAME.json. Processes are forked, so that torch is loaded once;
nothing watches over them, as torchrun would.
"""

import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from omnimask.commands.main import main as command
from omnimask.commands.pretrain import train
from omnimask.foundation.errors import OmnimaskError
from omnimask.foundation.trust import trust
from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import list_checkpoints, load_checkpoint
from tests.unit.runs import known
from tests.unit.toy_recipe import streams, with_teacher

FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
STEPS = 20
_PATIENCE_S = 240.0  # for a machine that does much else


def recipe(*, steps: int = STEPS, every: int = 1000, **run: Any) -> Recipe:
    """The mixed toy recipe with a teacher, in one order whatever the number of processes."""
    toy = with_teacher()
    return replace(
        toy,
        data=replace(toy.data, streams=streams(4)),
        optim=replace(toy.optim, steps=steps),
        run=replace(toy.run, checkpoint_every=every, **run),
    )


def run_as(environment: Mapping[str, str], work: Callable[[], object], log: Path) -> int:
    """Forks a process that does `work`; returns its id. It ends with the error's status."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.environ.update(environment)
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        torch.set_num_threads(1)
        try:
            work()
            status = 0
        except OmnimaskError as error:
            print(f"omnimask: {error}", file=sys.stderr)
            status = error.status
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def start(
    work: Callable[[], object], out: Path, *, world: int = 1, extra: Mapping[str, str] | None = None
) -> list[int]:
    """The processes of one run, by rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(world):
        ranks = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world),
            "LOCAL_WORLD_SIZE": str(world),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        environment = {**(ranks if world > 1 else {}), **(extra or {})}
        children.append(run_as(environment, work, out.with_name(f"{out.name}-{rank}.log")))
    return children


def statuses(children: list[int], patience_s: float = _PATIENCE_S) -> list[int | str]:
    """How each ended; one that does not end is killed, and "hangs"."""
    deadline = time.monotonic() + patience_s
    found: dict[int, int | str] = {}
    while len(found) < len(children):
        for child in children:
            if child in found:
                continue
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                found[child] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                found[child] = "hangs"
        time.sleep(0.2)  # looking costs what the runs need
    return [found[child] for child in children]


def wait_for_steps(out: Path, count: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    log = out / "metrics.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < count:
        assert time.monotonic() < deadline, f"no step {count} in {out}"
        time.sleep(0.2)  # looking costs what the runs need


def apart(first: Path, second: Path) -> float:
    """The largest difference of two runs' weights after their last step, but for biases of keys."""
    expected, got = (load_checkpoint(list_checkpoints(run)[-1]) for run in (first, second))
    assert expected.weights.keys() == got.weights.keys()
    assert expected.optimizer.keys() == got.optimizer.keys()
    return max(
        (known(name, weight).double() - known(name, got.weights[name]).double()).abs().max().item()
        for name, weight in expected.weights.items()
    )


def files(out: Path) -> dict[str, list[str]]:
    return {
        folder.name: sorted(path.name for path in folder.iterdir())
        for folder in sorted((out / "checkpoints").glob("*"))
    }


@dataclass(frozen=True, slots=True)
class Layout:
    """How many processes, and what the launcher says to them."""

    world: int
    extra: Mapping[str, str]


LAYOUTS = {
    "one": Layout(1, {}),
    "ddp2": Layout(2, {}),
    "ddp4": Layout(4, {}),
    "fsdp2": Layout(2, FSDP),
    "fsdp4": Layout(4, FSDP),
}


def layout(out: Path, name: str) -> dict[str, Any]:
    """A whole run in one layout, with a checkpoint on half of the way."""
    run = out / name
    whole = recipe(every=STEPS // 2)
    where = LAYOUTS[name]
    ended = statuses(start(lambda: train(whole, run), run, world=where.world, extra=where.extra))
    return {"statuses": ended, "files": files(run)}


def going_on(out: Path, name: str) -> dict[str, Any]:
    """`fsdp2 from ddp4`: the second half in another layout than the first."""
    now, before = name.split(" from ")
    run, source = out / name.replace(" ", "-"), out / before
    (run / "checkpoints").mkdir(parents=True)
    half = list_checkpoints(source)[0]
    assert half.name == f"step-{STEPS // 2:08d}"
    (run / "checkpoints" / half.name).symlink_to(half)
    (run / "recipe.json").symlink_to(source / "recipe.json")
    longer = recipe(every=1000)
    where = LAYOUTS[now]
    work = lambda: train(longer, run)  # noqa: E731 - what each process does
    return {"statuses": statuses(start(work, run, world=where.world, extra=where.extra))}


def signalled(out: Path, name: str) -> dict[str, Any]:
    """`signal SIGUSR1 2`: a signal to the last of so many processes, between two log lines."""
    _, kind, world = name.split()
    run = out / name.replace(" ", "-")
    work = lambda: train(recipe(steps=100_000, log_every=3), run)  # noqa: E731
    children = start(work, run, world=int(world))
    wait_for_steps(run, 1)
    os.kill(children[-1], getattr(signal, kind))
    ended = statuses(children)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    step = json.loads(lines[-1])["step"]
    return {"statuses": ended, "files": files(run), "last": step, "log": _log(run)}


def killed(out: Path, name: str) -> dict[str, Any]:
    """kill -9 of one of two processes: the other must not wait for it."""
    run = out / name
    work = lambda: train(recipe(steps=100_000, every=2), run)  # noqa: E731
    children = start(work, run, world=2)
    wait_for_steps(run, 4)
    os.kill(children[1], signal.SIGKILL)
    began = time.monotonic()
    ended = statuses(children)
    return {"statuses": ended, "seconds": time.monotonic() - began, "log": _log(run)}


def full_disk(out: Path, name: str) -> dict[str, Any]:
    """A checkpoint that finds no room; then the same run with room again."""
    run, size = out / name, 40_000  # bytes that a file may have: less than the weights
    children = start(lambda: train(recipe(steps=4, every=2), run), run)
    first = statuses(children)
    whole = {path.name: load_checkpoint(path).state["step"] for path in list_checkpoints(run)}

    def short_of_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        train(recipe(steps=8, every=2), run)

    second = statuses(start(short_of_room, run))
    left = {path.name: load_checkpoint(path).state["step"] for path in list_checkpoints(run)}
    third = statuses(start(lambda: train(recipe(steps=8, every=2), run), run))
    return {
        "statuses": first + second + third,
        "before": whole,
        "left": left,
        "files": files(run),
        "log": _log(run),
    }


def hung(out: Path, name: str) -> dict[str, Any]:
    """A reader that does not return, in one of two processes."""
    run = out / name
    work = lambda: train(_with_a_reader_that_hangs(), run)  # noqa: E731
    ended = statuses(start(work, run, world=2))
    said = {path.name: path.read_text() for path in run.glob("hung-rank-*.txt")}
    return {"statuses": ended, "said": said}


def _with_a_reader_that_hangs() -> Recipe:
    from tests.unit.toy import ToySource

    read = ToySource.read

    def hanging(self: ToySource, index: int, visit: Any) -> Any:
        if os.environ["RANK"] == "1" and visit.augment:
            time.sleep(1000)
        return read(self, index, visit)

    ToySource.read = hanging
    return recipe(steps=4, step_timeout_s=3.0)


def refused(out: Path, name: str) -> dict[str, Any]:
    """`refuse ACCELERATE_USE_DEEPSPEED=true`: what the command answers to a launcher's wish."""
    run = out / "refused"
    setting, _, value = name.removeprefix("refuse ").partition("=")
    extra = {**(FSDP if setting.startswith("FSDP_") else {}), setting: value}
    arguments = ["pretrain", "tests.unit.toy_recipe:toy_recipe", "--out", str(run)]
    log = out / f"refused-{setting}-{value}"
    ended = statuses(start(lambda: sys.exit(command(arguments)), log, extra=extra))
    return {"statuses": ended, "log": _log(log)}


def _log(run: Path) -> str:
    return "".join(path.read_text() for path in sorted(run.parent.glob(f"{run.name}-*.log")))


def scenario(name: str) -> Callable[[Path, str], dict[str, Any]]:
    for start_of_name, does in (
        ("signal ", signalled),
        ("killed", killed),
        ("full_disk", full_disk),
        ("hung", hung),
        ("refuse ", refused),
    ):
        if name.startswith(start_of_name):
            return does
    return going_on if " from " in name else layout


def main(out: Path, names: list[str]) -> None:
    trust("tests")
    for name in names:
        found = scenario(name)(out, name)
        (out / f"{name}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
