"""Clips as space-time tubelets (VideoMAE, https://arxiv.org/abs/2203.12602, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from modalities.video.pictures import draw_clip, paint_clip
from omnimask.data.pixels import (
    Channels,
    as_dtype,
    check_channels,
    measure_channels,
    patchify,
    unpatchify,
)
from omnimask.data.ragged_time import frame_counts, ragged_tokens, stacked_in_time, zero_after
from omnimask.foundation.errors import RecipeError
from omnimask.network.grid_modality import (
    adapt_grid_position,
    continued_grid,
    grid_position,
    kept_mean_std,
    num_cells,
    patch_embedding,
)
from omnimask.network.resampling import Resampled, State, resample_linear
from omnimask.network.trained_axis import Axes, check_axes, extents
from omnimask.tokens.modality import Drawing, Modality, Sample, Source
from omnimask.tokens.tokens import Grid, Raw, Tokens, integers_of, tensor_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUM_CHANNELS = 3

Count = TypeVar("Count", int, Tensor)


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
        check_channels(self.name, self.mean, self.std, num_channels=_NUM_CHANNELS)
        check_axes(self.name, self.axes, self.grid)

    @property
    def grid(self) -> Grid:
        t, h, w = self._grid
        return {"t": t, "h": h, "w": w}

    @property
    def num_tokens(self) -> int:
        return num_cells(self.grid)

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
        parts = [sample["frames"] for sample in samples]
        frames = stacked_in_time(parts, self.num_frames)
        for row, part in zip(frames, parts, strict=True):
            row[len(part) : self._num_tubelets(len(part)) * self.tubelet[0]] = part[-1]
        return {"frames": frames, **frame_counts(parts)}

    def split(self, raw: Raw, /) -> Tokens:
        frames = tensor_of(raw, "frames")
        channels = Channels.of(self.name, self.mean, self.std, frames.device)
        return ragged_tokens(
            patchify(channels.standardise(frames), self.tubelet),
            grid=self.grid,
            real=self._num_tubelets(tensor_of(raw, "real_frames")),
            counts=[self._num_tubelets(count) for count in integers_of(raw, "num_frames")],
        )

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """`frames`, rounded and cut off at 0 and 255, zero in padding tubelets."""
        channels = Channels.of(self.name, self.mean, self.std, values.device)
        frames = channels.restore(unpatchify(values.float(), self.tubelet, self._grid))
        filled = self._num_tubelets(tensor_of(raw, "real_frames")) * self.tubelet[0]
        return {
            "frames": as_dtype(zero_after(frames, filled), tensor_of(raw, "frames").dtype),
            "num_frames": raw["num_frames"],
            "real_frames": raw["real_frames"],
        }

    def embed(self, dim: int, /) -> nn.Module:
        return patch_embedding(self.num_values, dim)

    def position(self, dim: int, /) -> nn.Module:
        return grid_position(self, dim)

    def continued_from(self, old: Modality, /) -> tuple["VideoTubelets", tuple[str, ...]]:
        """Frames are resized, so that tubelets together cover the same picture; time runs on, a
        frame lasting as long as in pretraining."""
        assert isinstance(old, VideoTubelets), "adapt compares the types"
        ratios = (self.tubelet[0] / old.tubelet[0], None, None)
        axes, lines = continued_grid(self, old, ratios=ratios)
        given, known = (self.mean, self.std), (old.mean, old.std)
        mean, std, kept = kept_mean_std(self.name, given, known, num_channels=_NUM_CHANNELS)
        return replace(self, axes=axes, mean=mean, std=std), lines + kept

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, VideoTubelets), "adapt compares the types"
        before, after = (*old.tubelet, _NUM_CHANNELS), (*self.tubelet, _NUM_CHANNELS)
        return resample_linear(self.name, state, old=before, new=after)

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, VideoTubelets), "adapt compares the types"
        return adapt_grid_position(self, old, state)

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        """A film strip in three rows; hidden tubelets are grey in the second."""
        num_frames = integers_of(raw, "num_frames")[index]
        one = {
            "frames": tensor_of(raw, "frames")[index : index + 1],
            "num_frames": (num_frames,),
            "real_frames": tensor_of(raw, "real_frames")[index : index + 1],
        }
        rebuilt = tensor_of(self.join(filled[index : index + 1].float(), one), "frames")[0]
        original, seen = (part[:num_frames] for part in (one["frames"][0], rebuilt))
        visible_cells = visible[index].unflatten(0, self._grid)
        return draw_clip(original, seen, visible=visible_cells, tubelet=self.tubelet)

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """Two moments of the clip, and their tubelets as squares."""
        frames = integers_of(raw, "num_frames")[index]
        clip = tensor_of(raw, "frames")[index, :frames]
        cells = colors.unflatten(1, self._grid)[:, : self._num_tubelets(frames)]
        return paint_clip(clip, cells, titles, length=self.tubelet[0])

    def _num_tubelets(self, num_frames: Count) -> Count:
        """The last of them may be partly filled."""
        return -(-num_frames // self.tubelet[0])
