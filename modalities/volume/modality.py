"""Crops of scans as patches on a grid of three axes (Hi-End-MAE, https://arxiv.org/abs/2502.08347,
section 4.1: 96 voxels along each axis, patches of 12)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from omnimask.data.pixels import (
    Channels,
    check_channels,
    measure_channels,
    patchify,
    unpatchify,
)
from omnimask.foundation.errors import RecipeError
from omnimask.network.grid_modality import (
    adapt_grid_position,
    check_patches,
    continued_grid,
    grid_position,
    kept_mean_std,
    num_cells,
    patch_embedding,
)
from omnimask.network.resampling import Resampled, State, resample_linear
from omnimask.network.trained_axis import Axes, check_axes, extents
from omnimask.tokens.modality import Drawing, Modality, Sample, Source
from omnimask.tokens.tokens import Grid, Raw, Tokens, grid_coords, integers_of, tensor_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lengths = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumePatches:
    """Patches of `patch` out of `size` voxels, both (depth, height, width).

    `window`: the intensities that become 0 and 1, what lies outside is cut off; for CT in
    Hounsfield units. None leaves intensities as the file has them. `spacing_mm`: the distance of
    voxels along the three axes, to which scans are resampled; None takes a file's own. `mean`,
    `std`: of each channel, None to measure them in `fit`. Coordinates count patches. `positions`:
    fixed sines and cosines, or one learned vector per axis or ("table") per cell. `axes`: set by
    `adapt`, where the patches stand on the grid of pretraining.

    A scan that is smaller than `size` has fewer patches: those beyond its far faces are padding,
    neither valid nor scorable; one that is partly filled repeats the last voxels.

    Raw: `voxels` (b d c h w) fp32, `cells` (b 3) patches along each axis, `num_cells` their number.
    """

    name: str = "volume"
    size: Lengths = (96, 96, 96)
    patch: Lengths = (12, 12, 12)
    num_channels: int = 1
    window: tuple[float, float] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    positions: Literal["sincos", "learned", "table"] = "sincos"
    axes: Axes | None = None

    def __post_init__(self) -> None:
        if min(*self.size, *self.patch, self.num_channels) < 1:
            raise RecipeError(
                f"{self.name}: size, patch and num_channels must be positive, got {self.size}, "
                f"{self.patch} and {self.num_channels}"
            )
        check_patches(self.name, self.size, self.patch)
        if self.window is not None and self.window[0] >= self.window[1]:
            raise RecipeError(
                f"{self.name}: window must be (low, high) with low < high, got {self.window}; "
                "write (-175.0, 250.0) for the soft tissue of a CT"
            )
        if self.spacing_mm is not None and min(self.spacing_mm) <= 0:
            raise RecipeError(
                f"{self.name}: spacing_mm must be positive along (depth, height, width), got "
                f"{self.spacing_mm}; write None to keep that of the files"
            )
        check_channels(self.name, self.mean, self.std, num_channels=self.num_channels)
        check_axes(self.name, self.axes, self.grid)

    @property
    def grid(self) -> Grid:
        d, h, w = self._grid
        return {"d": d, "h": h, "w": w}

    @property
    def num_tokens(self) -> int:
        return num_cells(self.grid)

    @property
    def num_values(self) -> int:
        return math.prod(self.patch) * self.num_channels

    @property
    def extent(self) -> tuple[float, ...]:
        return extents(self.axes, self.grid)

    @property
    def _grid(self) -> Lengths:
        d, h, w = (whole // part for whole, part in zip(self.size, self.patch, strict=True))
        return d, h, w

    def fit(self, source: Source, /) -> "VolumePatches":
        """With the mean and deviation of each channel over at most 256 scans."""
        if self.mean is not None and self.std is not None:
            return self
        mean, std = measure_channels(source, "voxels", num_channels=self.num_channels)
        return replace(self, mean=self.mean or mean, std=self.std or std)

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """The last voxels of a smaller scan are repeated to whole patches; then zeros."""
        parts = [sample["voxels"] for sample in samples]
        cells = torch.tensor([self.cells_of(part) for part in parts])
        d, h, w = self.size
        voxels = parts[0].new_zeros(len(parts), d, self.num_channels, h, w)
        for row, part, count in zip(voxels, parts, cells.tolist(), strict=True):
            filled = [cell * length for cell, length in zip(count, self.patch, strict=True)]
            row[: filled[0], :, : filled[1], : filled[2]] = _repeated(part, filled)
        return {
            "voxels": voxels,
            "cells": cells,
            "num_cells": tuple(math.prod(count) for count in cells.tolist()),
        }

    def cells_of(self, voxels: Shaped[Tensor, "d c h w"]) -> Lengths:
        """Patches along each axis of one scan; the last of them may be partly filled."""
        depth, _, height, width = voxels.shape
        d, h, w = (-(-a // b) for a, b in zip((depth, height, width), self.patch, strict=True))
        return d, h, w

    def split(self, raw: Raw, /) -> Tokens:
        voxels = tensor_of(raw, "voxels")
        channels = Channels.of(self.name, self.mean, self.std, voxels.device)
        values = patchify(channels.standardise(voxels), self.patch)
        coords = grid_coords(self.grid, voxels.device)
        valid = (coords < tensor_of(raw, "cells")[:, None]).all(dim=2)
        counts = integers_of(raw, "num_cells")
        return Tokens(
            values=values.masked_fill(~valid[:, :, None], 0.0),
            coords=coords.expand(voxels.shape[0], -1, -1),
            valid=valid,
            scorable=valid,
            num_valid=counts,
            num_scorable=counts,
            grid=self.grid,
        )

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """`voxels`, exact up to rounding; zero in padding."""
        channels = Channels.of(self.name, self.mean, self.std, values.device)
        voxels = channels.restore(unpatchify(values.float(), self.patch, self._grid))
        coords = grid_coords(self.grid, values.device)
        valid = (coords < tensor_of(raw, "cells")[:, None]).all(dim=2)
        spread = valid[:, :, None].expand(-1, -1, values.shape[2])
        inside = unpatchify(spread, self.patch, self._grid)
        return {**raw, "voxels": voxels.masked_fill(~inside, 0.0)}

    def embed(self, dim: int, /) -> nn.Module:
        return patch_embedding(self.num_values, dim)

    def position(self, dim: int, /) -> nn.Module:
        return grid_position(self, dim)

    def continued_from(self, old: Modality, /) -> tuple["VolumePatches", tuple[str, ...]]:
        """A millimetre stays one where both state `spacing_mm`; else the patches together cover
        what those of pretraining covered."""
        assert isinstance(old, VolumePatches), "adapt compares the types"
        axes, lines = continued_grid(self, old, ratios=_patch_ratios(self, old))
        given, known = (self.mean, self.std), (old.mean, old.std)
        mean, std, kept = kept_mean_std(self.name, given, known, num_channels=self.num_channels)
        if self.window != old.window:
            line = f"{self.name}: window {self.window}, in pretraining {old.window}"
            kept = (*kept, f"{line}; nothing is scaled")
        return replace(self, axes=axes, mean=mean, std=std), lines + kept

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, VolumePatches), "adapt compares the types"
        before, after = ((*each.patch, each.num_channels) for each in (old, self))
        return resample_linear(self.name, state, old=before, new=after)

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, VolumePatches), "adapt compares the types"
        return adapt_grid_position(self, old, state)

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        """Slices through the middle along the three axes; hidden patches are grey."""
        from modalities.volume.pictures import draw_volume

        one = {name: part[index : index + 1] for name, part in raw.items()}
        rebuilt = tensor_of(self.join(filled[index : index + 1].float(), one), "voxels")[0]
        shown = visible[index, None, :, None].expand(-1, -1, self.num_values)
        cells = tensor_of(one, "cells")[0].tolist()
        d, h, w = (count * length for count, length in zip(cells, self.patch, strict=True))
        return draw_volume(
            tensor_of(one, "voxels")[0, :d, :, :h, :w],
            rebuilt[:d, :, :h, :w],
            visible=unpatchify(shown, self.patch, self._grid)[0, :d, :, :h, :w],
            spacing_mm=self.spacing_mm or (1.0, 1.0, 1.0),
        )

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """Slices along the three axes, and the patches in them as squares."""
        from modalities.volume.pictures import paint_volume

        cells = tensor_of(raw, "cells")[index].tolist()
        d, h, w = (count * length for count, length in zip(cells, self.patch, strict=True))
        whole = colors.unflatten(1, self._grid)[:, : cells[0], : cells[1], : cells[2]]
        return paint_volume(
            tensor_of(raw, "voxels")[index, :d, :, :h, :w],
            whole,
            titles,
            spacing_mm=self.spacing_mm or (1.0, 1.0, 1.0),
        )


def _repeated(voxels: Shaped[Tensor, "d c h w"], lengths: Sequence[int]) -> Tensor:
    """The last voxels along each axis again and again, up to `lengths` (depth, height, width)."""
    for axis, length in zip((0, 2, 3), lengths, strict=True):
        ids = torch.arange(length).clamp_max(voxels.shape[axis] - 1)
        voxels = voxels.index_select(axis, ids)
    return voxels


def _patch_ratios(new: VolumePatches, old: VolumePatches) -> Sequence[float | None]:
    if new.spacing_mm is None or old.spacing_mm is None:
        return (None, None, None)
    before, after = (
        [voxels * mm for voxels, mm in zip(each.patch, each.spacing_mm or (), strict=True)]
        for each in (old, new)
    )
    return [a / b for a, b in zip(after, before, strict=True)]
