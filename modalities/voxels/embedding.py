"""The embedding of one occupied voxel: a small network on its points and a maximum."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from modalities.voxels.values import VoxelValues


class VoxelEmbedding(nn.Module):
    """Two shared layers on the points, their maximum, and the number of points joined to it.

    After the voxel feature encoder that Voxel-MAE takes from SST, https://arxiv.org/abs/2112.06375,
    section 3: a point enters with its place from the voxel's centre, its place from the mean of the
    voxel's points, and its intensity. LayerNorm stands for BatchNorm, because a token must not
    depend on the batch. Only voxels that may be shown, occupied ones, come here; the flag that says
    so is not read.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.point = nn.Sequential(
            nn.Linear(7, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 128), nn.LayerNorm(128)
        )
        self.out = nn.Sequential(nn.Linear(129, 256), nn.GELU(), nn.Linear(256, dim))

    def forward(self, values: Float[Tensor, "k v"]) -> Float[Tensor, "k d"]:
        voxel = VoxelValues.of(values)
        weight = voxel.ok[:, :, None].to(values.dtype)
        mean = voxel.places.sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp_min(1)
        entering = [voxel.places, voxel.places - mean, voxel.intensity[:, :, None]]
        lifted = self.point(torch.cat(entering, dim=2)).relu()
        # After the ReLU nothing is below zero, so zero is the maximum's neutral element.
        strongest = (lifted * weight.to(lifted.dtype)).amax(dim=1)
        return self.out(torch.cat([strongest, voxel.log_count[:, None].to(lifted.dtype)], dim=1))
