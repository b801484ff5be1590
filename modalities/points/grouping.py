"""Farthest-point sampling and nearest-neighbour groups of a batch of clouds, without weights.

Point-MAE's patches, https://arxiv.org/abs/2203.06604, section 3.1. Plain torch everywhere, and
PyTorch3D's kernels for clouds on a CUDA device where that package is installed with them.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from modalities.points.pytorch3d_part import pytorch3d_ops


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """Point ids of the group centres and of each group's members, the nearest (the centre) first.

    In a cloud with fewer points than a group has, the nearest member is repeated. A cloud with
    fewer points than groups has meaningless groups beyond its number of points.
    """

    center_ids: Int64[Tensor, "b g"]
    member_ids: Int64[Tensor, "b g k"]


@torch.no_grad()
def group_points(
    xyz: Float[Tensor, "b p 3"], ok: Bool[Tensor, "b p"], *, num_groups: int, group_size: int
) -> Groups:
    """Centres by farthest-point sampling and the `group_size` nearest points of each.

    Only points with `ok` take part. The first centre is the point farthest from the middle of the
    cloud's bounding box: no random number, and the same whatever the order of the points.
    """
    ops = pytorch3d_ops(xyz.device)
    if ops is None:
        groups = _group_with_torch(xyz, ok, num_groups, group_size)
    else:
        groups = _group_with_pytorch3d(ops, xyz, ok, num_groups, group_size)
    member_ok = ok.gather(1, groups.member_ids.flatten(1)).view_as(groups.member_ids)
    member_ids = torch.where(member_ok, groups.member_ids, groups.member_ids[:, :, :1])
    return Groups(center_ids=groups.center_ids, member_ids=member_ids)


def _first_centers(xyz: Tensor, ok: Tensor) -> Int64[Tensor, " b"]:
    """Smallest and largest coordinates are exact, unlike a mean, whose rounding could turn a tie
    between two farthest points into another choice on another device or in another batch."""
    missing = ~ok[:, :, None]
    low = xyz.masked_fill(missing, torch.inf).amin(dim=1, keepdim=True)
    high = xyz.masked_fill(missing, -torch.inf).amax(dim=1, keepdim=True)
    distances = (xyz - (low + high) / 2).square().sum(dim=2)
    return distances.masked_fill(~ok, -1.0).argmax(dim=1)


def _group_with_torch(xyz: Tensor, ok: Tensor, num_groups: int, group_size: int) -> Groups:
    """Coordinates lie as three contiguous planes and are worked on in place, which halves the time;
    the distances of sampling are kept, so that the neighbours cost one `topk` more."""
    batch, num_points, _ = xyz.shape
    planes = xyz.permute(2, 0, 1).contiguous()
    scratch = torch.empty_like(planes)
    distances = xyz.new_empty(batch, num_groups, num_points)
    # Padding starts at -1 and stays there, since minima are taken with squares: never the largest.
    to_chosen = torch.where(ok, torch.inf, -1.0)
    chosen, center_ids = _first_centers(xyz, ok), []
    for group in range(num_groups):
        center_ids.append(chosen)
        center = planes.gather(2, chosen.expand(3, -1)[:, :, None])
        torch.sub(planes, center, out=scratch)
        scratch.square_()
        squared = scratch[0].add_(scratch[1]).add_(scratch[2])
        distances[:, group] = squared
        torch.minimum(to_chosen, squared, out=to_chosen)
        chosen = to_chosen.argmax(dim=1)
    distances.masked_fill_(~ok[:, None], torch.inf)
    member_ids = distances.topk(group_size, dim=2, largest=False, sorted=True).indices
    return Groups(center_ids=torch.stack(center_ids, dim=1), member_ids=member_ids)


def _group_with_pytorch3d(
    ops: Any, xyz: Tensor, ok: Tensor, num_groups: int, group_size: int
) -> Groups:
    """PyTorch3D always starts at point 0, so the first centre is swapped there and back."""
    batch, num_points, _ = xyz.shape
    lengths = ok.sum(dim=1)
    first = _first_centers(xyz, ok)[:, None]
    order = torch.arange(num_points, device=xyz.device).repeat(batch, 1)
    order.scatter_(1, first, 0)
    order[:, :1] = first
    swapped = xyz.gather(1, order[:, :, None].expand(-1, -1, 3))
    sampled = ops.sample_farthest_points(swapped, lengths, K=num_groups)[1]
    center_ids = order.gather(1, sampled.clamp_min(0))
    centers = xyz.gather(1, center_ids[:, :, None].expand(-1, -1, 3))
    near = ops.knn_points(centers, xyz, lengths2=lengths, K=group_size, return_sorted=True)
    missing = torch.arange(group_size, device=xyz.device) >= lengths[:, None, None]
    return Groups(
        center_ids=center_ids,
        member_ids=torch.where(missing, near.idx[:, :, :1], near.idx),
    )
