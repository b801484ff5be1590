"""The embedding of one group of points: a small PointNet."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MiniPointNet(nn.Module):
    """Two shared layers on the points, a maximum, two more with that maximum joined, a maximum.

    Point-MAE's token embedding, https://arxiv.org/abs/2203.06604, section 3.1, with its widths
    (128, 256, 512) and two changes. LayerNorm stands for BatchNorm, because a token must not depend
    on the batch. The joined vector is a sum of two projections instead of one projection of a
    concatenation, the group's own being made once per group: the same function at half the work.
    The maximum makes it blind to the order of the points and to repeated points. Without `norm`
    nothing stands in the two places: Point-MAE's trained BatchNorms folded into the layers.

    `unit` is the length that enters as one. BatchNorm gives the first layer's outputs a deviation
    of one whatever the size of the groups is; under LayerNorm points 0.1 from their centre would
    all look alike beside that layer's bias.
    """

    def __init__(
        self, dim: int, *, group_size: int, num_channels: int, norm: bool = True, unit: float = 1.0
    ) -> None:
        super().__init__()
        self.unit = unit
        build_norm = nn.LayerNorm if norm else nn.Identity
        self.group_size, self.num_features = group_size, num_channels - 3
        self.point = nn.Sequential(
            nn.Linear(num_channels, 128), build_norm(128), nn.ReLU(), nn.Linear(128, 256)
        )
        self.from_point = nn.Linear(256, 512)
        self.from_group = nn.Linear(256, 512, bias=False)
        self.out = nn.Sequential(build_norm(512), nn.ReLU(), nn.Linear(512, dim))

    def forward(self, values: Float[Tensor, "k v"]) -> Float[Tensor, "k d"]:
        places, features = values.split(
            [3 * self.group_size, self.num_features * self.group_size], dim=1
        )
        points = torch.cat(
            [
                places.unflatten(1, (self.group_size, 3)) / self.unit,
                features.unflatten(1, (self.group_size, self.num_features)),
            ],
            dim=2,
        )
        lifted = self.point(points)
        group = lifted.amax(dim=1)
        joined = self.from_point(lifted) + self.from_group(group)[:, None]
        return self.out(joined).amax(dim=1)
