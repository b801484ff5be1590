"""Losses that only voxels use: `(predicted, truth) -> (rows n)` in fp32."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from omnimask.data.geometry import nearest_offsets


def masked_chamfer(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Chamfer distance between m predicted points and the true points whose flag is set.

    Squared distances, each direction's mean, summed; Voxel-MAE, https://arxiv.org/abs/2207.00531,
    section 3. `predicted` has p = 3m numbers, `truth` t = 4k: k times x y z, then k flags above one
    half where a point is real. A voxel without a real point gets zero, with a gradient of zero.
    """
    num_points = truth.shape[-1] // 4
    places, flags = truth.float().split([3 * num_points, num_points], dim=-1)
    here = rearrange(predicted.float(), "r n (k xyz) -> r n k xyz", xyz=3)
    there = rearrange(places, "r n (k xyz) -> r n k xyz", xyz=3)
    ok = flags > 0.5
    to_truth = nearest_offsets(here, there, target_ok=ok).square().sum(dim=-1).mean(dim=-1)
    to_predicted = nearest_offsets(there, here).square().sum(dim=-1)
    mean = (to_predicted * ok).sum(dim=-1) / ok.sum(dim=-1).clamp_min(1)
    return torch.where(ok.any(dim=-1), to_truth + mean, 0.0)
