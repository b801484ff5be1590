"""A small grid of settings: every combination of some fields' values."""

import ast
import itertools
from collections.abc import Sequence

from omnimask.foundation.errors import RecipeError


def read_axis(said: str) -> tuple[str, ...]:
    """The assignments of `field=a,b,c`, such as "masker.ratio=0.5" and "masker.ratio=0.75".

    Values are Python literals, (16, 16) one of them; what are none are parted at commas.
    """
    path, equals, text = said.partition("=")
    if not equals or not text.strip():
        raise RecipeError(f"--over takes field=value,value,..., got {said!r}")
    try:
        values = [repr(value) for value in ast.literal_eval(f"({text},)")]
    except (ValueError, SyntaxError):
        values = [part.strip() for part in text.split(",")]
    if len(set(values)) < len(values):
        raise RecipeError(f"--over {said}: a value stands there twice")
    return tuple(f"{path.strip()}={value}" for value in values)


def grid(axes: Sequence[str]) -> list[tuple[str, ...]]:
    """The assignments of each point of the grid, in the order said; one empty point of no axes."""
    return list(itertools.product(*(read_axis(axis) for axis in axes)))
