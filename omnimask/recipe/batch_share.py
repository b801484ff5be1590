"""How the processes of a run share its batch, which is what the recipe states.

A step is `optim.accumulate` micro-batches of every stream's `batch_size`. The processes share the
micro-batches; where there are more processes than that, they share the samples of each.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.run_recipe import RunRecipe

_NAMED = 12  # numbers of processes that an error names


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchShare:
    """What the process `rank` of `world` does of a step of `accumulate` micro-batches."""

    accumulate: int
    rank: int = 0
    world: int = 1

    @property
    def num_micro(self) -> int:
        """The process's own micro-batches."""
        return self.accumulate // self._at_once

    @property
    def per_micro(self) -> int:
        """How many processes share the samples of one micro-batch."""
        return self.world // self._at_once

    @property
    def _at_once(self) -> int:
        return math.gcd(self.accumulate, self.world)

    def positions(self, batch_size: int, number: int) -> range:
        """Its samples of its micro-batch `number`, counted from the step's first sample."""
        size = batch_size // self.per_micro
        micro, part = divmod(self.rank, self.per_micro)
        first = (number * self._at_once + micro) * batch_size + part * size
        return range(first, first + size)


def samples_per_step(recipe: RunRecipe) -> dict[str, int]:
    """By stream, over all processes: the global batch."""
    return {s.name: s.batch_size * recipe.optim.accumulate for s in recipe.data.streams}


def check_share(recipe: RunRecipe, world: int) -> None:
    """RecipeError unless `world` processes can share the batch evenly; it names the numbers that
    can.
    """
    sizes = [stream.batch_size for stream in recipe.data.streams]
    mixture, accumulate = recipe.data.mixture, recipe.optim.accumulate
    common = math.gcd(*sizes) if mixture is None else mixture.multiple
    if common % BatchShare(accumulate=accumulate, world=world).per_micro == 0:
        return
    # Every such number is a divisor of the micro-batches times one of the samples.
    fitting = [
        number
        for number in range(1, accumulate * common + 1)
        if common % BatchShare(accumulate=accumulate, world=number).per_micro == 0
    ]
    nearest = sorted(sorted(fitting, key=lambda number: abs(number - world))[:_NAMED])
    fix = "batch_size" if mixture is None else "data.mixture.multiple"
    raise RecipeError(
        f"{world} processes cannot share a step of {accumulate} micro-batches of "
        f"{_sizes(recipe)} samples evenly; "
        f"{', '.join(map(str, nearest))} processes can. Or change {fix} and optim.accumulate: "
        "the batch is batch_size times accumulate"
    )


def check_batch(recipe: RunRecipe, trained: Mapping[str, int], *, source: str) -> None:
    """RecipeError unless the recipe's steps have the samples that those of `source` had."""
    stated = samples_per_step(recipe)
    if stated == dict(trained):
        return
    wrong = [
        f"{name}: {trained.get(name, 0)} before, {number} now"
        for name, number in stated.items()
        if trained.get(name, 0) != number
    ]
    fix = " ".join(
        f"--set data.streams.{name}.batch_size={number // recipe.optim.accumulate}"
        for name, number in trained.items()
        if stated.get(name) != number and number % recipe.optim.accumulate == 0
    )
    raise RecipeError(
        f"{source} had other samples in a step ({'; '.join(wrong)}). batch_size times "
        "optim.accumulate, which all processes share, must stay what it was"
        + (f": {fix}" if fix else "")
    )


def _sizes(recipe: RunRecipe) -> str:
    return ", ".join(f"{s.batch_size} ({s.name})" for s in recipe.data.streams)
