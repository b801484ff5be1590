"""Trains the debug size of every recipe with half its batch per process; run by torchrun.

Arguments: data root, output folder. One start of two processes serves all recipes.
"""

import sys
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from omnimask.commands.pretrain import train
from tests.recipes.catalogue import DEBUG, load


def main(root: Path, out: Path) -> None:
    # The end of a run ends the process group too; here the next recipe goes on with it.
    Accelerator.end_training = lambda self: None
    for reference in DEBUG:
        recipe = load(reference, root)
        streams = tuple(replace(s, batch_size=s.batch_size // 2) for s in recipe.data.streams)
        recipe = replace(recipe, data=replace(recipe.data, streams=streams))
        train(recipe, out / reference.replace(":", "."))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
