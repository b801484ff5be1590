"""Sums, maxima and concatenations over the processes of a run; the identity where there is one.

Every process must call them equally often and in the same order, or all of them hang. They do not
carry gradients.
"""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


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


class HostMeeting:
    """Where the processes tell one another small things without waiting for their devices."""

    def __init__(self) -> None:
        self._group = dist.new_group(backend="gloo") if num_ranks() > 1 else None

    def anyone(self, flag: bool) -> bool:
        """Whether any process has `flag`."""
        if self._group is None:
            return flag
        flags = torch.tensor(int(flag))
        dist.all_reduce(flags, op=dist.ReduceOp.MAX, group=self._group)
        return bool(flags.item())

    def gather(self, value: T) -> list[T]:
        """Every process's `value`, in order of rank."""
        if self._group is None:
            return [value]
        values: list[T | None] = [None] * num_ranks()
        dist.all_gather_object(values, value, group=self._group)
        return [value for value in values if value is not None]
