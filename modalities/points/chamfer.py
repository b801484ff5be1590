"""Chamfer losses per token between two sets of points: `(predicted, truth) -> (rows n)` in fp32.

Values of a token are the x, y, z of one point after another. The number of points may differ.
Neighbours are found by PyTorch3D's kernels on a CUDA device where they are installed. Its own
`chamfer_distance` knows L1 as the sum over axes, which is not PCN's.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from modalities.points.pytorch3d_part import pytorch3d_ops
from omnimask.data.geometry import nearest_offsets, offsets_from


def chamfer_l2(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Mean squared distance to the nearest true point plus that to the nearest predicted point.

    The loss of Point-MAE, https://arxiv.org/abs/2203.06604, section 3.3.
    """
    to_truth, to_predicted = _offsets(predicted, truth)
    return to_truth.square().sum(dim=-1).mean(dim=-1) + to_predicted.square().sum(dim=-1).mean(
        dim=-1
    )


def chamfer_l1(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """The mean of both mean distances, not squared: less drawn to far outliers.

    PCN's Chamfer distance, https://arxiv.org/abs/1808.00671, halved as its evaluation does. Where
    two points coincide the gradient is zero.
    """
    to_truth, to_predicted = _offsets(predicted, truth)
    return 0.5 * (
        torch.linalg.vector_norm(to_truth, dim=-1).mean(dim=-1)
        + torch.linalg.vector_norm(to_predicted, dim=-1).mean(dim=-1)
    )


def _offsets(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """From the nearest point of the other set to each point, for both sets, (r n k 3) in fp32."""
    here = rearrange(predicted.float(), "r n (k xyz) -> r n k xyz", xyz=3)
    there = rearrange(truth.float(), "r n (k xyz) -> r n k xyz", xyz=3)
    return _nearest_offsets(here, there), _nearest_offsets(there, here)


def _nearest_offsets(
    source: Float[Tensor, "r n s 3"], target: Float[Tensor, "r n t 3"]
) -> Float[Tensor, "r n s 3"]:
    ops = pytorch3d_ops(source.device)
    if ops is None or not source.numel():  # a kernel is not started on nothing
        return nearest_offsets(source, target)
    with torch.no_grad():
        nearest = ops.knn_points(source.flatten(0, 1), target.flatten(0, 1), K=1).idx
    return offsets_from(source, target, nearest.view(*source.shape[:-1], 1))
