"""Commands of `omnimask`, each in a process of its own."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# A process that has these already is forked for each command: importing them takes longer than
# the commands themselves.
HEAVY = ("torch", "timm.layers", "accelerate", "sklearn.linear_model", "pandas", "pyarrow.parquet")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([*HEAVY, "matplotlib.figure", "torch.utils.tensorboard"])


def omnimask(*arguments: str, folder: Path) -> tuple[int, str]:
    """What `python -m omnimask` does in `folder`: its exit status, and what it says."""
    return _in_a_process(_run, arguments, folder)


def python(code: str, *, folder: Path) -> tuple[int, str]:
    """What `python -c code` does in `folder`."""
    return _in_a_process(_execute, code, folder)


def _in_a_process(do: Callable[[Any], None], given: Any, folder: Path) -> tuple[int, str]:
    said = folder / "said.txt"
    process = _context.Process(target=_there, args=(do, given, str(folder), str(said)))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode, said.read_text()


def _there(do: Callable[[Any], None], given: Any, folder: str, said: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)  # as python -m does
    with Path(said).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    do(given)


def _execute(code: str) -> None:
    exec(compile(code, "<the page>", "exec"), {"__name__": "__main__"})


def _run(arguments: Sequence[str]) -> None:
    from omnimask.commands.main import main

    sys.exit(main(arguments))
