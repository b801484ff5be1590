"""Trains recipes in several processes; run by torchrun.

Arguments: data root, output folder, references. One start of two processes serves all of them.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from omnimask.commands.pretrain import train
from omnimask.recipe.recipe import Recipe
from tests.recipes.catalogue import load


def accumulating(recipe: Recipe) -> Recipe:
    """The same steps from four micro-batches of a quarter of the batch, two in each process."""
    streams = tuple(replace(s, batch_size=s.batch_size // 4) for s in recipe.data.streams)
    recipe = replace(recipe, data=replace(recipe.data, streams=streams))
    return replace(recipe, optim=replace(recipe.optim, accumulate=4))


def main(root: Path, out: Path, references: Sequence[str]) -> None:
    # The end of a run ends the process group too; here the next recipe goes on with it.
    Accelerator.end_training = lambda self: None
    for name in references:
        reference, _, how = name.partition(" ")
        recipe = load(reference, root)
        train(accumulating(recipe) if how else recipe, out / name.replace(":", "."))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
