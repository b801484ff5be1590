"""Series as patches along time, of all channels together or of each joint by itself (MAMP,
https://arxiv.org/abs/2308.07092, section 3.1: four frames of one joint are a token)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from omnimask.data.measuring import measured_samples
from omnimask.data.ragged_time import stacked_in_time
from omnimask.foundation.errors import DataError, RecipeError
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
from omnimask.tokens.tokens import Grid, Raw, Tokens, grid_coords, integers_of, tensor_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST_STD = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesPatches:
    """Patches of `patch` steps out of `num_steps`, of each of `num_joints` with `num_channels`.

    A skeleton has joints with their coordinates as channels: tokens stand on a grid of time and
    joint. Sensors are one "joint" with all of them as channels, or as many with one channel each,
    where they fail apart from one another. `rate_hz`: steps per second that recordings are
    resampled to; None takes steps as they are. `mean`, `std`: of every channel of every joint (the
    channels run fastest), None to measure them in `fit`. Coordinates count patches and joints.
    `positions`: fixed sines and cosines, or one learned vector per axis or ("table") per cell.
    `axes`: set by `adapt`, where the patches stand on the grid of pretraining.

    A token with a gap in it is unknown: neither valid nor scorable, never shown and never asked
    for; so is what lies beyond the end of a shorter series.

    Raw: `series` (b t j c) fp32, zero in gaps, `known` (b t j), and of its patches without a gap
    `num_known` on the host.
    """

    name: str = "series"
    num_steps: int = 120
    num_joints: int = 1
    num_channels: int = 3
    patch: int = 4
    rate_hz: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    positions: Literal["sincos", "learned", "table"] = "sincos"
    axes: Axes | None = None

    def __post_init__(self) -> None:
        if min(self.num_steps, self.num_joints, self.num_channels, self.patch) < 1:
            raise RecipeError(
                f"{self.name}: num_steps, num_joints, num_channels and patch must be positive, got "
                f"{self.num_steps}, {self.num_joints}, {self.num_channels} and {self.patch}"
            )
        if self.num_steps % self.patch:
            whole = max(self.num_steps // self.patch, 1) * self.patch
            raise RecipeError(
                f"{self.name}: num_steps must be a multiple of patch {self.patch}, got "
                f"{self.num_steps}; write num_steps={whole}"
            )
        if self.rate_hz is not None and self.rate_hz <= 0:
            raise RecipeError(f"{self.name}: rate_hz must be positive, got {self.rate_hz}")
        for field, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers is not None and len(numbers) != self.width:
                raise RecipeError(
                    f"{self.name}: {field} must have one number for each of {self.num_joints} "
                    f"joints times {self.num_channels} channels, got {len(numbers)}; write None "
                    "to measure it"
                )
        check_axes(self.name, self.axes, self.grid)

    @property
    def width(self) -> int:
        """Numbers in a step."""
        return self.num_joints * self.num_channels

    @property
    def grid(self) -> Grid:
        steps = {"t": self.num_steps // self.patch}
        return steps if self.num_joints == 1 else {**steps, "joint": self.num_joints}

    @property
    def num_tokens(self) -> int:
        return num_cells(self.grid)

    @property
    def num_values(self) -> int:
        return self.patch * self.num_channels

    @property
    def extent(self) -> tuple[float, ...]:
        return extents(self.axes, self.grid)

    def fit(self, source: Source, /) -> "SeriesPatches":
        """With mean and deviation over the known steps of at most 256 series, spread evenly.

        DataError where nothing varies; a channel that does not vary gets the deviation 1.
        """
        if self.mean is not None and self.std is not None:
            return self
        count = torch.zeros(self.num_joints, 1, dtype=torch.float64)
        total = torch.zeros(2, self.num_joints, self.num_channels, dtype=torch.float64)
        for sample in measured_samples(source):
            series = sample["series"].double()  # zero in gaps
            count += sample["known"].sum(dim=0)[:, None]
            total += torch.stack([series.sum(dim=0), series.square().sum(dim=0)])
        mean, square = total / count.clamp_min(1)
        std = (square - mean.square()).clamp_min(0.0).sqrt()
        if (std < _LEAST_STD).all():
            raise DataError(
                f"{source.name(0)} and the other series that were measured never change; expected "
                "numbers that do; set mean and std if this is meant"
            )
        std = torch.where(std < _LEAST_STD, 1.0, std)
        return replace(
            self,
            mean=self.mean or tuple(mean.flatten().tolist()),
            std=self.std or tuple(std.flatten().tolist()),
        )

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """Unknown beyond the end of a shorter series."""
        known = stacked_in_time([sample["known"] for sample in samples], self.num_steps)
        return {
            "series": stacked_in_time([sample["series"] for sample in samples], self.num_steps),
            "known": known,
            "num_known": tuple(self._whole(known).sum(dim=1).tolist()),
        }

    def _whole(self, known: Bool[Tensor, "b t j"]) -> Bool[Tensor, "b n"]:
        """The tokens without a gap."""
        return known.unflatten(1, (-1, self.patch)).all(dim=2).flatten(1)

    def split(self, raw: Raw, /) -> Tokens:
        """In the order of time, then of joints; values run over steps, the channels fastest."""
        series = tensor_of(raw, "series")
        mean, std = self._statistics(series.device)
        values = rearrange((series - mean) / std, "b (t p) j c -> b (t j) (p c)", p=self.patch)
        valid, counts = self._whole(tensor_of(raw, "known")), integers_of(raw, "num_known")
        return Tokens(
            values=values.masked_fill(~valid[:, :, None], 0.0),
            coords=grid_coords(self.grid, series.device).expand(series.shape[0], -1, -1),
            valid=valid,
            scorable=valid,
            num_valid=counts,
            num_scorable=counts,
            grid=self.grid,
        )

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """`series` from token values, exact up to rounding; as in `raw` where a token has a gap."""
        mean, std = self._statistics(values.device)
        series = rearrange(
            values.float(), "b (t j) (p c) -> b (t p) j c", j=self.num_joints, p=self.patch
        )
        inside = self._steps(self._whole(tensor_of(raw, "known")))
        restored = torch.where(inside[..., None], series * std + mean, tensor_of(raw, "series"))
        return {**raw, "series": restored}

    def _steps(self, tokens: Shaped[Tensor, "b n"]) -> Shaped[Tensor, "b t j"]:
        """What is said of tokens, for each of their steps."""
        return repeat(tokens, "b (t j) -> b (t p) j", j=self.num_joints, p=self.patch)

    def embed(self, dim: int, /) -> nn.Module:
        return patch_embedding(self.num_values, dim)

    def position(self, dim: int, /) -> nn.Module:
        return grid_position(self, dim)

    def continued_from(self, old: Modality, /) -> tuple["SeriesPatches", tuple[str, ...]]:
        """Time runs on: in seconds where both state `rate_hz`, else in steps. Joints are those of
        pretraining; RecipeError where there are others."""
        assert isinstance(old, SeriesPatches), "adapt compares the types"
        if self.num_joints != old.num_joints:
            raise RecipeError(
                f"{self.name}: {self.num_joints} joints cannot take the places of {old.num_joints} "
                f"of pretraining; write num_joints={old.num_joints}"
            )
        steps = self.patch / old.patch
        if self.rate_hz is not None and old.rate_hz is not None:
            steps *= old.rate_hz / self.rate_hz
        ratios = (steps, None)[: len(self.grid)]
        axes, lines = continued_grid(self, old, ratios=ratios)
        given, known = (self.mean, self.std), (old.mean, old.std)
        mean, std, kept = kept_mean_std(self.name, given, known, num_channels=self.width)
        return replace(self, axes=axes, mean=mean, std=std), lines + kept

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, SeriesPatches), "adapt compares the types"
        before, after = ((each.patch, each.num_channels) for each in (old, self))
        return resample_linear(self.name, state, old=before, new=after)

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, SeriesPatches), "adapt compares the types"
        return adapt_grid_position(self, old, state)

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        """Lines of a few channels, or a heat map of many; gaps are white, hidden tokens grey."""
        from modalities.series.pictures import draw_series

        rebuilt = tensor_of(self.join(filled.float(), raw), "series")[index]
        return draw_series(
            tensor_of(raw, "series")[index],
            rebuilt,
            known=tensor_of(raw, "known")[index],
            whole=self._steps(self._whole(tensor_of(raw, "known")))[index],
            visible=self._steps(visible)[index],
            rate_hz=self.rate_hz,
        )

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """The series as a heat map, and its patches as rectangles; time to the right."""
        from modalities.series.pictures import paint_series

        cells = colors.unflatten(1, (-1, self.num_joints))
        series, known = (tensor_of(raw, name)[index] for name in ("series", "known"))
        return paint_series(series, cells, titles, known=known)

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and deviation (j c)."""
        if self.mean is None or self.std is None:
            raise RecipeError(
                f"{self.name}: mean and std are not known; call fit(source) or set both"
            )
        both = torch.empty(2, self.width, device=device)
        # Number by number, without the copy from the host that `torch.tensor` waits for.
        for entry, number in zip(both.flatten(), (*self.mean, *self.std), strict=True):
            entry.fill_(number)
        mean, std = both.unflatten(1, (self.num_joints, self.num_channels))
        return mean, std
