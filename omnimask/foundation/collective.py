"""Sums, maxima and concatenations over the processes of a run; the identity where there is one.

Every process must call them equally often and in the same order, or all of them hang. They do not
carry gradients.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from omnimask.foundation.errors import LostProcessError

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


@contextmanager
def named_losses() -> Iterator[None]:
    """Turns the complaint of torch.distributed that a process is gone into an error of ours."""
    try:
        yield
    except RuntimeError as error:
        if num_ranks() == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise LostProcessError(
            "another process of this run has ended or does not answer; what it said is in its own "
            f"output. The same command goes on from the last checkpoint ({error})"
        ) from error


class HostMeeting:
    """Where the processes tell one another small things without waiting for their devices.

    LostProcessError where one of them is gone, or does not come within `timeout_s` and half a
    minute, in which a process that hangs can say where.
    """

    def __init__(self, *, timeout_s: float = 1800.0) -> None:
        patience = timedelta(seconds=timeout_s + 30.0)
        several = num_ranks() > 1
        self._group = dist.new_group(backend="gloo", timeout=patience) if several else None

    def most(self, numbers: Sequence[int]) -> list[int]:
        """Of each number the largest that any process has."""
        if self._group is None:
            return list(numbers)
        largest = torch.tensor(numbers)
        with named_losses():
            dist.all_reduce(largest, op=dist.ReduceOp.MAX, group=self._group)
        return largest.tolist()

    def gather(self, value: T) -> list[T]:
        """Every process's `value`, in order of rank."""
        if self._group is None:
            return [value]
        values: list[T | None] = [None] * num_ranks()
        with named_losses():
            dist.all_gather_object(values, value, group=self._group)
        return [value for value in values if value is not None]
