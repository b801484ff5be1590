"""Clips as space-time tubelets (VideoMAE, https://arxiv.org/abs/2203.12602, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnimask.errors import RecipeError
from omnimask.modality import Drawing, Modality, Sample, Source
from omnimask.pixels import (
    as_dtype,
    as_unit,
    filled_by_number,
    grid_coords,
    measure_channels,
    patchify,
    unpatchify,
)
from omnimask.positions import LearnedPosition, SinCosPosition, TablePosition
from omnimask.resampling import (
    Resampled,
    State,
    check_kept,
    kept_statistics,
    resample_linear,
    resample_positions,
)
from omnimask.tokens import Grid, Raw, Tokens
from omnimask.trained_axis import Axes, check_axes, continued_axes, extents

_NUM_CHANNELS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoTubelets:
    """Tubelets of `tubelet` (frames, rows, columns) out of `num_frames` RGB frames of `size`.

    `size` is (height, width) in pixels. A token's values run over frames, rows and columns with
    the colours fastest, each colour minus `mean` over `std`; None measures them in `fit`, for
    values in [0, 1]. Coordinates are (time, row, column) counted in tubelets. `positions`: fixed
    sines and cosines, or one learned vector per axis or ("table") per cell. `axes`: set by
    `adapt`, where the tubelets stand on the grid of pretraining.

    A clip may have fewer frames. Its last tubelets are then padding, neither valid nor scorable; a
    tubelet that is partly filled repeats the last frame.
    """

    name: str = "video"
    num_frames: int = 16
    size: tuple[int, int] = (224, 224)
    tubelet: tuple[int, int, int] = (2, 16, 16)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    positions: Literal["sincos", "learned", "table"] = "sincos"
    axes: Axes | None = None

    def __post_init__(self) -> None:
        whole = (self.num_frames, *self.size)
        if min(*whole, *self.tubelet) < 1:
            raise RecipeError(
                f"{self.name}: num_frames, size and tubelet must be positive, got "
                f"{self.num_frames}, {self.size} and {self.tubelet}"
            )
        if any(length % part for length, part in zip(whole, self.tubelet)):
            fitting = [max(length // part, 1) * part for length, part in zip(whole, self.tubelet)]
            raise RecipeError(
                f"{self.name}: num_frames and size must be multiples of tubelet {self.tubelet}, "
                f"got {self.num_frames} and {self.size}; write num_frames={fitting[0]}, "
                f"size={tuple(fitting[1:])}"
            )
        for field, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers is not None and len(numbers) != _NUM_CHANNELS:
                raise RecipeError(
                    f"{self.name}: {field} must have {_NUM_CHANNELS} numbers, one per colour, got "
                    f"{len(numbers)}; write {field}=None to measure it"
                )
        if self.std is not None and min(self.std) <= 0:
            raise RecipeError(f"{self.name}: std must be positive, got {self.std}")
        check_axes(self.name, self.axes, self.grid)

    @property
    def grid(self) -> Grid:
        t, h, w = self._grid
        return {"t": t, "h": h, "w": w}

    @property
    def num_tokens(self) -> int:
        t, h, w = self._grid
        return t * h * w

    @property
    def num_values(self) -> int:
        t, h, w = self.tubelet
        return t * h * w * _NUM_CHANNELS

    @property
    def extent(self) -> tuple[float, ...]:
        return extents(self.axes, self.grid)

    @property
    def _grid(self) -> tuple[int, int, int]:
        t, h, w = self.tubelet
        return (self.num_frames // t, self.size[0] // h, self.size[1] // w)

    def fit(self, source: Source, /) -> "VideoTubelets":
        """With the mean and deviation of each colour over at most 256 clips."""
        if self.mean is not None and self.std is not None:
            return self
        mean, std = measure_channels(source, "frames", num_channels=_NUM_CHANNELS)
        return replace(self, mean=self.mean or mean, std=self.std or std)

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """`frames` (b t c h w) uint8: the last frame repeated to a whole tubelet, then zeros."""
        counts = [len(sample["frames"]) for sample in samples]
        whole = (len(samples), self.num_frames, _NUM_CHANNELS, *self.size)
        frames = torch.zeros(whole, dtype=torch.uint8)
        for row, sample, count in zip(frames, samples, counts, strict=True):
            row[:count] = sample["frames"]
            row[count : self._filled(count)] = sample["frames"][-1]
        return {
            "frames": frames,
            "num_frames": tuple(counts),
            "real_frames": torch.tensor(counts),  # the same on the device, for `split`
        }

    def split(self, raw: Raw, /) -> Tokens:
        frames = tensor_of(raw, "frames")
        mean, std = self._statistics(frames.device)
        values = patchify((as_unit(frames) - mean) / std, self.tubelet)
        coords = grid_coords(self._grid, frames.device)
        per_tubelet = self.tubelet[0]
        real_tubelets = (tensor_of(raw, "real_frames") + per_tubelet - 1) // per_tubelet
        valid = coords[:, 0] < real_tubelets[:, None]
        _, h, w = self._grid
        counts = tuple(
            self._filled(count) // per_tubelet * h * w for count in integers_of(raw, "num_frames")
        )
        return Tokens(
            values=values.masked_fill(~valid[:, :, None], 0.0),
            coords=coords.expand(frames.shape[0], -1, -1),
            valid=valid,
            scorable=valid,
            num_valid=counts,
            num_scorable=counts,
            grid=self.grid,
        )

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """`frames`, rounded and cut off at 0 and 255, zero in padding tubelets."""
        mean, std = self._statistics(values.device)
        frames = unpatchify(values.float(), self.tubelet, self._grid) * std + mean
        real_frames = tensor_of(raw, "real_frames")
        filled = -(-real_frames // self.tubelet[0]) * self.tubelet[0]
        padding = torch.arange(self.num_frames, device=values.device) >= filled[:, None]
        frames = frames.masked_fill(padding[:, :, None, None, None], 0.0)
        return {
            "frames": as_dtype(frames, tensor_of(raw, "frames").dtype),
            "num_frames": raw["num_frames"],
            "real_frames": real_frames,
        }

    def embed(self, dim: int, /) -> nn.Module:
        """One linear layer, Xavier-uniform as in MAE; VideoMAE's convolution over tubelets."""
        layer = nn.Linear(self.num_values, dim)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer

    def position(self, dim: int, /) -> nn.Module:
        if self.positions == "learned":
            return LearnedPosition(dim, self._grid)
        if self.positions == "table":
            return TablePosition(dim, self._grid)
        return SinCosPosition(dim, 3, axes=self.axes)

    def continued_from(self, old: Modality, /) -> tuple["VideoTubelets", tuple[str, ...]]:
        """Frames are resized, so that tubelets together cover the same picture; time runs on, a
        frame lasting as long as in pretraining."""
        assert isinstance(old, VideoTubelets), "adapt compares the types"
        check_kept(self.name, "positions", old=old.positions, new=self.positions)
        grids, ratios = (old.grid, self.grid), (self.tubelet[0] / old.tubelet[0], None, None)
        axes, lines = continued_axes(self.name, old.axes, grids, ratios=ratios)
        kept = partial(kept_statistics, self.name, num_channels=_NUM_CHANNELS)
        mean, mean_lines = kept("mean", self.mean, old.mean)
        std, std_lines = kept("std", self.std, old.std)
        return replace(self, axes=axes, mean=mean, std=std), lines + mean_lines + std_lines

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, VideoTubelets), "adapt compares the types"
        before, after = (*old.tubelet, _NUM_CHANNELS), (*self.tubelet, _NUM_CHANNELS)
        return resample_linear(self.name, state, old=before, new=after)

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, VideoTubelets), "adapt compares the types"
        axes, grids = (old.axes, self.axes), (old.grid, self.grid)
        return resample_positions(self.name, state, axes=axes, grids=grids)

    def draw(
        self,
        raw: Raw,
        *,
        shown: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        """A film strip in three rows; hidden tubelets are grey in the second."""
        from modalities.video.pictures import draw_clip

        return draw_clip(self, raw, shown=shown, filled=filled, index=index)

    def _filled(self, num_frames: int) -> int:
        """`num_frames` rounded up to whole tubelets."""
        return -(-num_frames // self.tubelet[0]) * self.tubelet[0]

    def _statistics(
        self, device: torch.device
    ) -> tuple[Float[Tensor, "c 1 1"], Float[Tensor, "c 1 1"]]:
        if self.mean is None or self.std is None:
            raise RecipeError(
                f"{self.name}: mean and std are not known; call fit(source) or set both"
            )
        mean, std = filled_by_number(self.mean, device), filled_by_number(self.std, device)
        return mean[:, None, None], std[:, None, None]


def tensor_of(raw: Raw, key: str) -> Tensor:
    value = raw[key]
    assert isinstance(value, Tensor)
    return value


def integers_of(raw: Raw, key: str) -> tuple[int, ...]:
    value = raw[key]
    assert isinstance(value, tuple)
    return value
