"""Positions from continuous coordinates: additive modules (k c) -> (k d), and rotary angles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.network.trained_axis import Axes


class SinCosPosition(nn.Module):
    """Fixed sines and cosines, `dim` split over the axes, frequencies 1 to 1/max_period.

    For integer grid coordinates on two axes these are the position embeddings of MAE
    (https://arxiv.org/abs/2111.06377, appendix A.1), with the axes in our order, rows first: its
    code has columns first, so that the two halves of its table stand swapped. Coordinates in other
    units are multiplied by `scale` first. `axes`: where cells stand on the grid of pretraining, if
    that was another. Dimensions that do not divide evenly are zero.
    """

    def __init__(
        self,
        dim: int,
        num_axes: int,
        *,
        max_period: float = 10_000.0,
        scale: float = 1.0,
        axes: Axes | None = None,
    ) -> None:
        super().__init__()
        self.dim, self.scale, self.axes = dim, scale, axes
        num_frequencies = dim // (2 * num_axes)
        exponents = torch.arange(num_frequencies, dtype=torch.float64) / max(num_frequencies, 1)
        frequencies = (max_period**-exponents).float()
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.frequencies: Tensor

    def forward(self, coords: Float[Tensor, "k c"]) -> Float[Tensor, "k d"]:
        if self.axes is not None:
            coords = on_trained_axes(coords, self.axes)
        angles = coords.float()[:, :, None] * self.scale * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1)
        return nn.functional.pad(waves, (0, self.dim - waves.shape[1]))


def on_trained_axes(coords: Float[Tensor, "k c"], axes: Axes) -> Float[Tensor, "k c"]:
    """Coordinates counted in cells, as those of the same places on the grid of pretraining."""
    places = [(x + 0.5) * axis.step - 0.5 for x, axis in zip(coords.unbind(1), axes, strict=True)]
    return torch.stack(places, dim=1)


class LearnedPosition(nn.Module):
    """The sum of one learned vector per axis, interpolated between integer coordinates.

    `sizes` has the number of cells per axis; coordinates outside are clamped to the border.
    """

    def __init__(self, dim: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.tables = nn.ParameterList(nn.Parameter(torch.zeros(size, dim)) for size in sizes)
        for table in self.tables:
            nn.init.trunc_normal_(table, std=0.02)

    def forward(self, coords: Float[Tensor, "k c"]) -> Float[Tensor, "k d"]:
        rows = [
            interpolate_rows(table, coords[:, axis].float())
            for axis, table in enumerate(self.tables)
        ]
        return torch.stack(rows).sum(dim=0)


class TablePosition(nn.Module):
    """One learned vector per cell of a grid, as a ViT has them; the last axis runs fastest.

    Coordinates are rounded to the nearest cell and clamped to the border.
    """

    def __init__(self, dim: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.table = nn.Parameter(torch.zeros(math.prod(sizes), dim))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, coords: Float[Tensor, "k c"]) -> Float[Tensor, "k d"]:
        cell = coords.new_zeros(len(coords), dtype=torch.int64)
        for axis, size in enumerate(self.sizes):
            cell = cell * size + coords[:, axis].round().long().clamp(0, size - 1)
        return self.table[cell]


def interpolate_rows(
    table: Float[Tensor, "n d"], coordinate: Float[Tensor, " k"]
) -> Float[Tensor, "k d"]:
    """The table read between its rows, linearly; outside of them, its first or last row."""
    last = table.shape[0] - 1
    coordinate = coordinate.clamp(0, last)
    low = coordinate.floor().clamp_max(max(last - 1, 0))
    share = (coordinate - low)[:, None]
    low = low.long()
    return table[low] * (1 - share) + table[(low + 1).clamp_max(last)] * share


class CoordinateMLP(nn.Sequential):
    """Two linear layers on the coordinates, the position embedding of Point-MAE.

    https://arxiv.org/abs/2203.06604, section 3.2. Coordinates should be of order one.
    """

    def __init__(self, dim: int, num_axes: int, *, hidden: int = 128) -> None:
        super().__init__(nn.Linear(num_axes, hidden), nn.GELU(), nn.Linear(hidden, dim))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotary:
    """How queries and keys are rotated by the coordinates of their tokens.

    N-dimensional form of https://arxiv.org/abs/2104.09864: pairs of every head are split over the
    axes, with periods that run geometrically from `min_period` to `max_period`, in halves of a
    modality's `extent` (it spans 2 of them), so that modalities with different units share one
    encoder. `open_end` leaves `max_period` itself out, and `centred` counts coordinates of a grid
    from its middle, which matters for [CLS] and registers alone: they are rotated by nothing. Both,
    with periods from 1 to 100, are DINOv3's (https://arxiv.org/abs/2508.10104, section 3.2).
    """

    min_period: float = 0.1
    max_period: float = 20.0
    open_end: bool = False
    centred: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.min_period <= self.max_period:
            raise RecipeError(
                "rotary: periods must be positive and min_period at most max_period, got "
                f"{self.min_period} and {self.max_period}"
            )

    def periods(self, count: int, device: torch.device) -> Float[Tensor, " count"]:
        steps = torch.linspace(0, 1, count + self.open_end, device=device)[:count]
        return self.min_period * (self.max_period / self.min_period) ** steps


def rotary_angles(
    coords: Float[Tensor, "k c"],
    extent: Sequence[float],
    *,
    head_dim: int,
    style: Rotary | None = None,
    on_grid: bool = False,
) -> Float[Tensor, "k half"]:
    """Angles that rotate the `head_dim // 2` pairs of each query and key, split over the axes.

    `on_grid`: whether `coords` count cells, cell 0 having its middle at 0. Pairs left over by the
    split are not rotated.
    """
    style = style or Rotary()
    half, num_axes = head_dim // 2, len(extent)
    num_frequencies = half // num_axes
    shifts = [(size - 1) / 2 if style.centred and on_grid else 0.0 for size in extent]
    # Axis by axis, so that no tensor of lengths has to travel to the device.
    scaled = [
        (axis - shift) * (2.0 / max(size, 1e-6))
        for axis, size, shift in zip(coords.unbind(1), extent, shifts, strict=True)
    ]
    periods = style.periods(num_frequencies, coords.device)
    angles = torch.stack(scaled, dim=1).float()[:, :, None] * (2 * math.pi / periods)
    return nn.functional.pad(angles.flatten(1), (0, half - num_axes * num_frequencies))
