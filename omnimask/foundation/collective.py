"""Sums, maxima and concatenations over the processes of a run; the identity where there is one.

Every process must call them equally often and in the same order, or all of them hang. They do not
carry gradients.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def num_ranks() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rank() -> int:
    """The number of this process among those that train together, from 0."""
    return dist.get_rank() if num_ranks() > 1 else 0


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of every process's `x`, which must be of one shape; `x` itself is overwritten."""
    if num_ranks() > 1:
        dist.all_reduce(x)
    return x


def max_over_ranks(x: Tensor) -> Tensor:
    """The elementwise maximum of every process's `x`; `x` itself is overwritten."""
    if num_ranks() > 1:
        dist.all_reduce(x, op=dist.ReduceOp.MAX)
    return x


def cat_over_ranks(x: Tensor) -> Tensor:
    """Every process's `x`, which must be of one shape, one after another in order of rank."""
    if num_ranks() == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(num_ranks())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)
