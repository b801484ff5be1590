"""Rectangles on a two-dimensional grid, several per row, drawn without a loop over data."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng


@dataclass(frozen=True, kw_only=True, slots=True)
class Rectangles:
    """Several rectangles per row, in tokens; they may reach beyond the grid."""

    top: Int64[Tensor, "r k"]
    left: Int64[Tensor, "r k"]
    height: Int64[Tensor, "r k"]
    width: Int64[Tensor, "r k"]


def below(high: Int64[Tensor, "r _"], rng: Rng, count: int) -> Int64[Tensor, "r count"]:
    """`count` integers in [0, high) per row; in fp64, where no product rounds up to `high`."""
    return (rng.uniform(count).double() * high).long()


def log_uniform(rng: Rng, count: int, limits: tuple[float, float]) -> Tensor:
    """Numbers (r count) between two positive limits, uniform in the logarithm.

    In fp64: devices differ in the last bits of `exp`, which then never reach a rounded size.
    """
    low, high = (math.log(limit) for limit in limits)
    return (low + rng.uniform(count).double() * (high - low)).exp()


def draw_rectangles(
    area: Int64[Tensor, "r k"],
    rng: Rng,
    *,
    aspect: tuple[float, float],
    extent: tuple[Int64[Tensor, "r 1"], Int64[Tensor, "r 1"]],
) -> Rectangles:
    """Rectangles of at least `area` tokens inside the first `extent` rows and columns.

    Height by width is log-uniform within `aspect`, as far as the extent allows. `area` must be at
    least 1 and at most what the extent holds.
    """
    rows, columns = extent
    count = area.shape[1]
    ratio = log_uniform(rng.child("aspect"), count, aspect)
    height = (area * ratio).sqrt().round().long()
    height = torch.minimum(torch.maximum(height, (area + columns - 1) // columns), rows)
    width = torch.minimum((area + height - 1) // height, columns)
    return Rectangles(
        top=below(rows - height + 1, rng.child("top"), count),
        left=below(columns - width + 1, rng.child("left"), count),
        height=height,
        width=width,
    )


def covering_order(
    blocks: Rectangles, sizes: tuple[int, int], rng: Rng
) -> Float[Tensor, "r cells"]:
    """An order of all cells: the first rectangle's row by row, then the second's, and so on.

    Cells in no rectangle come last, in random order.
    """
    device, num_blocks = blocks.top.device, blocks.top.shape[1]
    down = _inside(blocks.top, blocks.height, torch.arange(sizes[0], device=device))
    across = _inside(blocks.left, blocks.width, torch.arange(sizes[1], device=device))
    covered = (down[:, :, :, None] & across[:, :, None, :]).flatten(2)
    number = torch.arange(num_blocks, device=device, dtype=torch.int32)[:, None]
    first = torch.where(covered, number, num_blocks).amin(dim=1)
    cells = math.prod(sizes)
    within = torch.arange(cells, device=device) / (cells + 1)
    return first + torch.where(first < num_blocks, within, rng.child("rest").uniform(cells))


def _inside(start: Tensor, length: Tensor, places: Tensor) -> Tensor:
    offsets = places - start[:, :, None]
    return (offsets >= 0) & (offsets < length[:, :, None])


def roll(
    cells: Float[Tensor, "r cells"],
    sizes: tuple[int, int],
    *,
    shift: tuple[Int64[Tensor, "r 1"], Int64[Tensor, "r 1"]],
    extent: tuple[Int64[Tensor, "r 1"], Int64[Tensor, "r 1"]],
) -> Float[Tensor, "r cells"]:
    """Moves row i's cells down and right by its shift, around the borders of its extent."""
    down, across = (
        (torch.arange(size, device=cells.device) - by) % length
        for size, by, length in zip(sizes, shift, extent, strict=True)
    )
    return _taken_from(down, across, cells)


def mirror(
    cells: Float[Tensor, "r cells"],
    sizes: tuple[int, int],
    *,
    flip: tuple[Bool[Tensor, "r 1"], Bool[Tensor, "r 1"]],
    extent: tuple[Int64[Tensor, "r 1"], Int64[Tensor, "r 1"]],
) -> Float[Tensor, "r cells"]:
    """Turns row i's cells upside down and left to right within its extent, as `flip` says."""
    down, across = (
        _mirrored(torch.arange(size, device=cells.device), flipped, length)
        for size, flipped, length in zip(sizes, flip, extent, strict=True)
    )
    return _taken_from(down, across, cells)


def _mirrored(places: Tensor, flipped: Tensor, length: Tensor) -> Tensor:
    return torch.where(flipped & (places < length), length - 1 - places, places)


def _taken_from(down: Tensor, across: Tensor, cells: Tensor) -> Tensor:
    """Cell (i, j) of every row becomes what stood at (down[i], across[j])."""
    sources = (down[:, :, None] * across.shape[1] + across[:, None, :]).flatten(1)
    return cells.gather(1, sources)


def check_aspect(masker: str, aspect: tuple[float, float]) -> None:
    """RecipeError unless 0 < low <= high."""
    low, high = aspect
    if not 0.0 < low <= high < math.inf:
        raise RecipeError(
            f"{masker}.aspect must be (low, high) with 0 < low <= high, the limits of height by "
            f"width, got ({low:g}, {high:g}); write (0.3, 3.3)"
        )
