"""Columns: tokens of a grid that share their place on some axes and so are hidden together.

Where a sample does not fill its grid (a short clip, a short recording), its valid tokens are taken
to be the first whole slices of the grid's first axis, and counts are in whole columns of that part.
Where they are not, the number of visible tokens is that of the ratio, and one column is cut.
A sample with a single column shows it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.masking.plan import Counts, visible_count
from omnimask.tokens.tokens import Grid, Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """A span's columns over some axes, at a mask ratio.

    `lengths[a][i]` is how much of axis a row i fills; `num_columns` and `num_visible_columns` count
    columns, `num_visible` tokens.
    """

    sizes: tuple[int, ...]
    lengths: tuple[Counts, ...]
    num_columns: Counts
    num_visible_columns: Counts
    num_visible: Counts


def columns_of(
    span: Span, axes: Sequence[str], ratio: float | Callable[[tuple[int, ...]], float]
) -> Columns:
    """The columns of a span with a grid; `axes` are some of its axes, in storage order.

    `ratio` may depend on how much of every one of the axes a row fills.
    """
    grid = span.grid
    assert grid is not None, "check() refuses a modality without a grid"
    assert len(span) == math.prod(grid.values()), "a grid has a token at each of its places"
    first = next(iter(grid))
    slice_size = len(span) // grid[first]
    # At least one, so that arithmetic on places has somewhere to put them in an empty sample.
    num_slices = tuple(max(math.ceil(count / slice_size), 1) for count in span.num_valid)
    lengths = tuple(
        num_slices if axis == first else (grid[axis],) * len(num_slices) for axis in axes
    )
    filled = tuple(zip(*lengths, strict=True))
    num_columns = tuple(math.prod(row) for row in filled)
    ratios = tuple(ratio(row) if callable(ratio) else ratio for row in filled)
    shown = tuple(visible_count(*pair) for pair in zip(ratios, num_columns, strict=True))
    num_visible = tuple(
        visible_count(ratios[i], n) if n % slice_size else shown[i] * (n // num_columns[i])
        for i, n in enumerate(span.num_valid)
    )
    return Columns(
        sizes=tuple(grid[axis] for axis in axes),
        lengths=lengths,
        num_columns=num_columns,
        num_visible_columns=shown,
        num_visible=num_visible,
    )


def spread(
    scores: Float[Tensor, "r columns"], grid: Mapping[str, int], axes: Sequence[str]
) -> Float[Tensor, "r n"]:
    """Every token of the grid gets the score of its column."""
    shape = [size if axis in axes else 1 for axis, size in grid.items()]
    rows = len(scores)
    return scores.reshape(rows, *shape).expand(rows, *grid.values()).flatten(1)


def need_grid(grid: Grid | None, modality: str, *, masker: str, needs: str) -> Grid:
    """The grid itself; RecipeError where there is none."""
    if grid is None:
        raise RecipeError(
            f"{masker} needs {needs}, {modality} has no grid; use RandomMask or NearestMask"
        )
    return grid


def need_axis(grid: Grid | None, modality: str, *, masker: str, axis: str) -> Grid:
    """The grid itself; RecipeError where it lacks the axis, naming the nearest."""
    known = need_grid(grid, modality, masker=masker, needs=f"an axis {axis!r}")
    if axis not in known:
        raise RecipeError(
            f"{masker} needs an axis {axis!r}, {modality} has {describe(known)}; use RandomMask or "
            f"an axis that {modality} has ({nearest_names(axis, known)})"
        )
    return known


def describe(grid: Grid) -> str:
    return " × ".join(f"{axis}={size}" for axis, size in grid.items())
