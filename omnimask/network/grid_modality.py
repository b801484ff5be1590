"""What modalities whose tokens are the patches of a grid share: weights, positions, adapting.

Plain functions of a modality's record, which stays a dataclass of its own; `ragged_time.py` has
what modalities share whose samples may be shorter than the grid.
"""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import nn

from omnimask.foundation.errors import RecipeError
from omnimask.network.positions import LearnedPosition, SinCosPosition, TablePosition
from omnimask.network.resampling import (
    Numbers,
    Resampled,
    State,
    check_kept,
    kept_statistics,
    resample_positions,
)
from omnimask.network.trained_axis import Axes, continued_axes
from omnimask.tokens.tokens import Grid


@runtime_checkable
class GridModality(Protocol):
    """What these functions read of a modality.

    `positions`: "sincos", fixed waves; "learned", one vector per axis; "table", one per cell.
    `axes`: where the cells stand on the grid of pretraining, None for a grid of its own.
    """

    @property
    def name(self) -> str: ...

    @property
    def grid(self) -> Grid: ...

    @property
    def positions(self) -> str: ...

    @property
    def axes(self) -> Axes | None: ...


def num_cells(grid: Grid) -> int:
    return math.prod(grid.values())


def check_patches(name: str, size: Sequence[int], patch: Sequence[int]) -> None:
    """RecipeError unless `size` is a whole number of patches along each axis."""
    if any(whole % part for whole, part in zip(size, patch, strict=True)):
        fitting = tuple(max(whole // part, 1) * part for whole, part in zip(size, patch))
        raise RecipeError(
            f"{name}: size must be a multiple of patch {tuple(patch)}, got {tuple(size)}; write "
            f"size={fitting}"
        )


def patch_embedding(num_values: int, dim: int) -> nn.Linear:
    """One linear layer, Xavier-uniform as in MAE: the convolution of a ViT or VideoMAE."""
    layer = nn.Linear(num_values, dim)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def grid_position(modality: GridModality, dim: int) -> nn.Module:
    """The module that the modality's `positions` names."""
    sizes = tuple(modality.grid.values())
    if modality.positions == "learned":
        return LearnedPosition(dim, sizes)
    if modality.positions == "table":
        return TablePosition(dim, sizes)
    return SinCosPosition(dim, len(sizes), axes=modality.axes)


def continued_grid(
    new: GridModality, old: GridModality, *, ratios: Sequence[float | None] | None = None
) -> tuple[Axes | None, tuple[str, ...]]:
    """Where the cells of `new` stand on the axes of pretraining, and lines that say so.

    `ratios`: see `continued_axes`; None where the new cells together cover what the old ones did.
    """
    check_kept(new.name, "positions", old=old.positions, new=new.positions)
    per_axis = (None,) * len(new.grid) if ratios is None else ratios
    return continued_axes(new.name, old.axes, (old.grid, new.grid), ratios=per_axis)


def adapt_grid_position(new: GridModality, old: GridModality, state: State) -> Resampled:
    """The state of `grid_position` for another grid."""
    axes, grids = (old.axes, new.axes), (old.grid, new.grid)
    return resample_positions(new.name, state, axes=axes, grids=grids)


def kept_mean_std(
    name: str,
    new: tuple[Numbers | None, Numbers | None],
    old: tuple[Numbers | None, Numbers | None],
    *,
    num_channels: int,
) -> tuple[Numbers | None, Numbers | None, tuple[str, ...]]:
    """Mean and deviation per channel: those of `new` where given, else of `old`; and lines."""
    mean, mean_lines = kept_statistics(name, "mean", new[0], old[0], num_channels=num_channels)
    std, std_lines = kept_statistics(name, "std", new[1], old[1], num_channels=num_channels)
    return mean, std, mean_lines + std_lines
