"""Commands of `omnimask`, each in a process of its own."""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# A process that has these already is forked for each command: importing them takes longer than
# the commands themselves.
HEAVY = ("torch", "timm.layers", "accelerate", "sklearn.linear_model", "pandas", "pyarrow.parquet")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([*HEAVY, "matplotlib.figure", "torch.utils.tensorboard"])


def omnimask(*arguments: str, folder: Path) -> tuple[int, str]:
    """What `python -m omnimask` does in `folder`: its exit status, and what it says."""
    said = folder / "said.txt"
    process = _context.Process(target=_run, args=(arguments, str(folder), str(said)))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode, said.read_text()


def _run(arguments: Sequence[str], folder: str, said: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)  # as python -m does
    with Path(said).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from omnimask.commands.main import main

    sys.exit(main(arguments))
