"""What the values of a voxel's token hold, and in which order."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_PER_POINT = 5  # x, y, z, intensity, flag


def num_values(points_per_voxel: int) -> int:
    """The width of a token with so many points."""
    return _PER_POINT * points_per_voxel + 2


@dataclass(frozen=True, kw_only=True, slots=True)
class VoxelValues:
    """A voxel's points from its centre, in [-1, 1] from wall to wall, and facts about it.

    Packed as all x y z, all intensities, all flags, log(1 + number of points), occupied. The width
    tells the number of points, so that a target can unpack values without knowing the grid. What
    is not `ok` is zero.
    """

    places: Float[Tensor, "*b k 3"]
    intensity: Float[Tensor, "*b k"]
    ok: Bool[Tensor, "*b k"]
    log_count: Float[Tensor, "*b"]
    occupied: Bool[Tensor, "*b"]

    @staticmethod
    def of(values: Float[Tensor, "*b v"]) -> "VoxelValues":
        num_points = (values.shape[-1] - 2) // _PER_POINT
        places, intensity, ok, log_count, occupied = values.split(
            [3 * num_points, num_points, num_points, 1, 1], dim=-1
        )
        return VoxelValues(
            places=places.unflatten(-1, (num_points, 3)),
            intensity=intensity,
            ok=ok > 0.5,
            log_count=log_count.squeeze(-1),
            occupied=occupied.squeeze(-1) > 0.5,
        )

    def packed(self) -> Float[Tensor, "*b v"]:
        kind = self.places.dtype
        parts = [
            self.places.flatten(-2),
            self.intensity,
            self.ok.to(kind),
            self.log_count[..., None],
            self.occupied[..., None].to(kind),
        ]
        return torch.cat(parts, dim=-1)
