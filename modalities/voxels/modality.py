"""A lidar sweep as tokens: one per occupied voxel, and some for empty cells asked about."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from modalities.voxels.embedding import VoxelEmbedding
from modalities.voxels.values import VoxelValues, num_values
from omnimask.foundation.errors import RecipeError
from omnimask.network.positions import SinCosPosition
from omnimask.network.resampling import Resampled, State
from omnimask.tokens.modality import Drawing, Modality, Sample, Source
from omnimask.tokens.tokens import Grid, Raw, Tokens, integers_of, tensor_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Range = tuple[float, float]
_TENSORS = ("points", "intensity", "point_ok", "count", "cell")


@dataclass(frozen=True, kw_only=True, slots=True)
class VoxelGrid:
    """Voxels of `voxel_size_m` in the box `range_m` around the sensor, all in metres (x, y, z).

    Tokens of a sample: at most `max_voxels` occupied voxels (valid and scorable), then empty cells
    (scorable only; `empty_share` of the number of occupied ones, rounded up), then padding, as in
    Voxel-MAE, https://arxiv.org/abs/2207.00531, section 3. Coordinates are voxel centres in metres
    from the sensor. `points_per_voxel` points of a voxel are kept at most; `with_intensity` keeps
    the fourth channel too. `trained_voxel_m`, `trained_range_m`: set by `adapt`, the shortest edge
    of a voxel and the lengths of the box in pretraining, which positions are measured in.

    Raw: `points` (b n k 3) in metres, `intensity` (b n k), `point_ok` (b n k), `count` (b n) points
    in the voxel before any was left out, `cell` (b n 3) its index, `occupied` and `scorable` (b n),
    `num_occupied`, `num_queries`.
    """

    name: str = "voxels"
    voxel_size_m: tuple[float, float, float] = (0.5, 0.5, 0.5)
    range_m: tuple[Range, Range, Range] = ((-20.0, 20.0), (-20.0, 20.0), (-3.0, 3.0))
    max_voxels: int = 256
    points_per_voxel: int = 16
    empty_share: float = 0.1
    with_intensity: bool = False
    trained_voxel_m: float | None = None
    trained_range_m: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        for size, (low, high) in zip(self.voxel_size_m, self.range_m, strict=True):
            cells = (high - low) / size if size > 0 else 0.0
            if round(cells) < 1 or abs(cells - round(cells)) > 1e-3:
                raise RecipeError(
                    f"VoxelGrid range_m ({low}, {high}) must be a whole number of voxels of "
                    f"{size} m; got {cells:.3f} of them"
                )
        if not 0 <= self.empty_share <= 1:
            raise RecipeError(
                f"VoxelGrid empty_share must be in [0, 1], got {self.empty_share}; 0.1 is 10 %"
            )
        if self.max_voxels < 1 or self.points_per_voxel < 1:
            raise RecipeError(
                "VoxelGrid max_voxels and points_per_voxel must be at least 1, got "
                f"{self.max_voxels} and {self.points_per_voxel}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells along x, y, z."""
        x, y, z = (
            round((high - low) / size)
            for size, (low, high) in zip(self.voxel_size_m, self.range_m, strict=True)
        )
        return x, y, z

    def num_queries(self, num_occupied: int) -> int:
        """Empty cells asked about beside so many occupied ones."""
        return math.ceil(self.empty_share * num_occupied)

    @property
    def grid(self) -> Grid | None:
        return None

    @property
    def num_tokens(self) -> int:
        return self.max_voxels + self.num_queries(self.max_voxels)

    @property
    def num_values(self) -> int:
        return num_values(self.points_per_voxel)

    @property
    def extent(self) -> tuple[float, ...]:
        return self.trained_range_m or tuple(high - low for low, high in self.range_m)

    def fit(self, source: Source, /) -> "VoxelGrid":
        """Itself: nothing is measured."""
        return self

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        size = (len(samples), self.num_tokens)
        raw = {
            name: torch.zeros(*size, *samples[0][name].shape[1:], dtype=samples[0][name].dtype)
            for name in _TENSORS
        }
        for row, sample in enumerate(samples):
            for name in _TENSORS:
                raw[name][row, : len(sample[name])] = sample[name]
        num_occupied = tuple(sample["num_occupied"] for sample in samples)
        num_scorable = tuple(len(sample["cell"]) for sample in samples)
        ranks = torch.arange(self.num_tokens)
        return {
            **raw,
            "occupied": ranks < torch.tensor(num_occupied)[:, None],
            "scorable": ranks < torch.tensor(num_scorable)[:, None],
            "num_occupied": num_occupied,
            "num_queries": tuple(a - o for a, o in zip(num_scorable, num_occupied, strict=True)),
        }

    def split(self, raw: Raw, /) -> Tokens:
        occupied, scorable = tensor_of(raw, "occupied"), tensor_of(raw, "scorable")
        centers = self.centers(tensor_of(raw, "cell"))
        ok = tensor_of(raw, "point_ok")
        offsets = tensor_of(raw, "points") - centers[:, :, None]
        values = VoxelValues(
            places=_per_axis(offsets, [2 / size for size in self.voxel_size_m]) * ok[..., None],
            intensity=tensor_of(raw, "intensity") * ok,
            ok=ok,
            log_count=tensor_of(raw, "count").float().log1p(),
            occupied=occupied,
        )
        num_occupied, num_queries = (
            integers_of(raw, "num_occupied"),
            integers_of(raw, "num_queries"),
        )
        return Tokens(
            values=values.packed(),
            coords=centers * scorable[:, :, None],
            valid=occupied,
            scorable=scorable,
            num_valid=num_occupied,
            num_scorable=tuple(a + b for a, b in zip(num_occupied, num_queries, strict=True)),
            grid=None,
        )

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """Points, counts and flags from the values; cells, which are coordinates, from `raw`.

        No loss beyond rounding. A flag is set where its value is above one half.
        """
        parts = VoxelValues.of(values)
        offsets = _per_axis(parts.places, [size / 2 for size in self.voxel_size_m])
        points = offsets + self.centers(tensor_of(raw, "cell"))[:, :, None]
        return {
            "points": points * parts.ok[..., None],
            "intensity": parts.intensity * parts.ok,
            "point_ok": parts.ok,
            "count": parts.log_count.expm1().round().long(),
            "cell": raw["cell"],
            "occupied": parts.occupied,
            "scorable": raw["scorable"],
            "num_occupied": raw["num_occupied"],
            "num_queries": raw["num_queries"],
        }

    def centers(self, cell: Tensor) -> Float[Tensor, "*batch 3"]:
        """The middle of each cell in metres; of the lowest cell for padding."""
        axes = [(cell[..., i] + 0.5) * self.voxel_size_m[i] + self.range_m[i][0] for i in range(3)]
        return torch.stack(axes, dim=-1)

    def embed(self, dim: int, /) -> nn.Module:
        return VoxelEmbedding(dim)

    def position(self, dim: int, /) -> nn.Module:
        """Sines and cosines of the centre in units of the shortest voxel edge."""
        return SinCosPosition(dim, 3, scale=1 / (self.trained_voxel_m or min(self.voxel_size_m)))

    def continued_from(self, old: Modality, /) -> tuple["VoxelGrid", tuple[str, ...]]:
        """A metre stays a metre; a larger box has places that pretraining did not see."""
        assert isinstance(old, VoxelGrid), "adapt compares the types"
        lines = [
            f"{self.name}: {what} {new} m, in pretraining {was} m; positions keep their metres"
            for what, new, was in (
                ("voxels of", self.voxel_size_m, old.voxel_size_m),
                ("a box of", self.range_m, old.range_m),
            )
            if new != was
        ]
        if self.with_intensity and not old.with_intensity:
            lines.append(f"{self.name}: the intensity is new, its weights were not trained")
        voxel_m = old.trained_voxel_m or min(old.voxel_size_m)
        own = (min(self.voxel_size_m), tuple(high - low for low, high in self.range_m))
        if own == (voxel_m, old.extent):
            return self, tuple(lines)
        x, y, z = old.extent
        continued = replace(self, trained_voxel_m=voxel_m, trained_range_m=(x, y, z))
        return continued, tuple(lines)

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        """As it was: it takes any number of points, at places in half voxels."""
        return Resampled(state=state)

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        return Resampled(state=state)

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        from modalities.voxels.pictures import Frame, Sweep, draw_voxels

        original, rebuilt = self.join(self.split(raw).values, raw), self.join(filled, raw)
        occupied = tensor_of(raw, "occupied")[index]
        sweep = Sweep(
            centers=self.centers(tensor_of(raw, "cell")[index]),
            points=tensor_of(original, "points")[index],
            ok=tensor_of(original, "point_ok")[index],
            rebuilt=tensor_of(rebuilt, "points")[index],
            rebuilt_ok=tensor_of(rebuilt, "point_ok")[index],
            occupied=occupied,
            visible=visible[index] & occupied,
            scorable=tensor_of(raw, "scorable")[index],
        )
        return draw_voxels(sweep, Frame(range_m=self.range_m, voxel_size_m=self.voxel_size_m))

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """The sweep from above by height, and the points of each voxel in its colour."""
        from modalities.voxels.pictures import Frame, paint_voxels

        occupied = tensor_of(raw, "occupied")[index].cpu()
        return paint_voxels(
            tensor_of(raw, "points")[index].cpu()[occupied],
            tensor_of(raw, "point_ok")[index].cpu()[occupied],
            colors[:, occupied],
            titles,
            frame=Frame(range_m=self.range_m, voxel_size_m=self.voxel_size_m),
        )


def _per_axis(offsets: Float[Tensor, "... 3"], factors: Sequence[float]) -> Float[Tensor, "... 3"]:
    """Multiplied by one number per axis, which as Python numbers need no copy to the device."""
    return torch.stack([offsets[..., i] * factor for i, factor in enumerate(factors)], dim=-1)
