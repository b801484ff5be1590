"""Sums on CPUs that come out the same, bit by bit, with any number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def same_sums_on_cpu(device: torch.device) -> Iterator[None]:
    """On a CPU, torch's deterministic algorithms; elsewhere nothing.

    The gradient of a gather adds up rows, in an order that depends on which thread is first: a run
    that is resumed would differ in its last bits, and after some hundred steps in its digits. On
    GPUs deterministic algorithms cost time and memory, and some are missing. An operation that has
    none warns.
    """
    if device.type != "cpu":
        yield
        return
    enabled = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # a module with a property
    fills = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)
        memory.fill_uninitialized_memory = fills
