"""Finds, on the CPU, the operations that would make the host wait for a GPU.

`with SyncWatch() as watch: step()` and then `assert not watch.waits, watch.report()`. It records at
the level of ATen, below autograd, so nothing that Python does to a tensor can slip past it, except
`tolist` and `numpy`, which on the CPU share memory and call no operation.
"""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[1]

# Each of these reads a value back to the host, to return it or to learn the size of its result.
WAITING = {
    "_local_scalar_dense": "a value is read by the host (item, float(), bool(), if, assert)",
    "item": "a value is read by the host (item)",
    "is_nonzero": "a value is read by the host (bool(), if, assert)",
    "equal": "torch.equal returns a host boolean",
    "allclose": "torch.allclose returns a host boolean",
    "nonzero": "the size of nonzero depends on the values",
    "nonzero_numpy": "the size of nonzero depends on the values",
    "argwhere": "the size of argwhere depends on the values",
    "masked_select": "the size of masked_select depends on the values",
    "bincount": "the size of bincount depends on the values",
    "_unique": "the size of unique depends on the values",
    "_unique2": "the size of unique depends on the values",
    "unique_dim": "the size of unique depends on the values",
    "unique_consecutive": "the size of unique depends on the values",
    "unique_dim_consecutive": "the size of unique depends on the values",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One operation, why it is found, and the innermost line of this repository that called it."""

    operation: str
    why: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: {self.operation}: {self.why}"


class SyncWatch(TorchDispatchMode):
    """Records operations that synchronise; runs them all the same.

    `waits`: the result, or its size, is read back from the device. `host_copies`: a tensor made
    from Python numbers or NumPy, which on a GPU is a blocking copy from pageable memory: it waits
    until the device has finished all that was queued. Scalars on the host are not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[Finding] = []
        self.host_copies: list[Finding] = []

    def report(self) -> str:
        """Every finding, once, one per line."""
        return "\n" + "\n".join(dict.fromkeys(map(str, self.waits + self.host_copies)))

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        why = WAITING.get(name) or _data_dependent(name, args, kwargs)
        if why:
            self.waits.append(_finding(func, why))
        elif name == "lift_fresh" and args[0].dim() > 0:
            self.host_copies.append(
                _finding(func, "a tensor is made from Python numbers, a list index or NumPy")
            )
        return func(*args, **kwargs)


def _data_dependent(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Why this call of an operation that is otherwise harmless waits; "" if it does not."""
    if name == "repeat_interleave" and kwargs.get("output_size") is None and len(args) < 3:
        return "repeat_interleave with a tensor of counts and no output_size"
    if name in ("index", "_unsafe_index") and _has_mask(args[1]):
        return "boolean-mask indexing: its size depends on the values"
    if name in ("index_put", "index_put_", "_index_put_impl_") and _has_mask(args[1]):
        # A single value is a masked_fill, which needs no sizes.
        return "" if args[2].numel() == 1 else "assignment of a tensor through a boolean mask"
    return ""


def _has_mask(indices: Sequence[Tensor | None]) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _finding(func: Any, why: str) -> Finding:
    return Finding(operation=str(func), why=why, where=_caller())


def _caller() -> str:
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if path.name == "sync_watch.py" or ".venv" in path.parts or not path.is_relative_to(ROOT):
            continue
        return f"{path.relative_to(ROOT).as_posix()}:{frame.lineno}"
    return "outside this repository"
