"""Sinkhorn-Knopp: scores to assignments that use every prototype equally often."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.foundation.collective import max_over_ranks, sum_over_ranks


@torch.no_grad()
def sinkhorn(
    scores: Float[Tensor, "*p b k"],
    *,
    temperature: float,
    iterations: int = 3,
    valid: Bool[Tensor, "*p b"] | None = None,
    over_ranks: bool = True,
) -> Float[Tensor, "*p b k"]:
    """Each row a distribution over k prototypes, each prototype with nearly the same share of b.

    Starting from exp(scores / temperature), each iteration divides every column by its sum over the
    b rows and then every row by its sum over the k columns (https://arxiv.org/abs/2006.09882,
    section 3.1); CAPI (https://arxiv.org/abs/2502.08769) runs three. Leading axes are balanced
    apart: with one per grid position no prototype can stand for a position. Rows that are not
    `valid` take no part and come out as zero. With `over_ranks` the rows of all processes count as
    one batch, so every process must call this with the same leading axes and k.

    The official code adds 1e-8 to every sum, which takes weight from rows far from all prototypes.
    """
    absent = None if valid is None else ~valid[..., None]
    assigned = scores.float() / temperature
    if absent is not None:
        assigned.masked_fill_(absent, -torch.inf)
    # The first iteration is in logarithms, since exp of all that far-off scores may give is zero.
    # After it a row has an entry of at least 1/k and a column one of at least 1/(b k).
    highest = assigned.amax(dim=-2, keepdim=True)
    assigned -= max_over_ranks(highest) if over_ranks else highest
    total = assigned.exp().sum(dim=-2, keepdim=True)
    assigned -= (sum_over_ranks(total) if over_ranks else total).log_()
    assigned = assigned.softmax(dim=-1)
    if absent is not None:
        assigned.masked_fill_(absent, 0.0)
    least = torch.finfo(assigned.dtype).tiny  # keeps what is zero, a position without rows, zero
    for _ in range(iterations - 1):
        total = assigned.sum(dim=-2, keepdim=True)
        assigned /= (sum_over_ranks(total) if over_ranks else total).clamp_min_(least)
        assigned /= assigned.sum(dim=-1, keepdim=True).clamp_min_(least)
    return assigned
