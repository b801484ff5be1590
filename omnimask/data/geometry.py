"""Sets of points: nearest neighbours between two small sets, the core of every Chamfer loss."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@torch.no_grad()
def squared_distances(
    source: Float[Tensor, "*sets m c"], target: Float[Tensor, "*sets k c"]
) -> Float[Tensor, "*sets m k"]:
    """Squared Euclidean distances between all pairs, axis by axis, without a gradient.

    Differences are taken before squaring: the shorter way over a matrix product loses the digits
    that near neighbours differ in, all the more in TF32, and its rounding depends on the batch.
    """
    total = None
    for here, there in zip(source.unbind(-1), target.unbind(-1), strict=True):
        squared = (here[..., :, None] - there[..., None, :]).square_()
        total = squared if total is None else total.add_(squared)
    assert total is not None, "points need at least one axis"
    return total


def nearest_offsets(
    source: Float[Tensor, "*sets m c"],
    target: Float[Tensor, "*sets k c"],
    *,
    target_ok: Bool[Tensor, "*sets k"] | None = None,
) -> Float[Tensor, "*sets m c"]:
    """For each source point the vector from its nearest target point to it.

    Points of `target` where `target_ok` is False are never nearest; in a set without a single
    usable target the offsets are meaningless but finite. Neighbours are found without a gradient
    and the offsets are differentiable in both sets, which is the exact gradient of a minimum.
    """
    distances = squared_distances(source, target)
    if target_ok is not None:
        distances.masked_fill_(~target_ok[..., None, :], torch.inf)
    return offsets_from(source, target, distances.argmin(dim=-1, keepdim=True))


def offsets_from(
    source: Float[Tensor, "*sets m c"],
    target: Float[Tensor, "*sets k c"],
    nearest: Int64[Tensor, "*sets m 1"],
) -> Float[Tensor, "*sets m c"]:
    """From the target point of each number in `nearest` to the source point."""
    return source - target.gather(-2, nearest.expand(*nearest.shape[:-1], target.shape[-1]))
