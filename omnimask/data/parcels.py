"""Samples on their way from a worker: all their numbers in one tensor, so that a part of a batch
takes one piece of shared memory and one file descriptor, however many samples it has.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from omnimask.tokens.modality import Sample

Samples = Sequence[Mapping[str, Sample]]
_ALIGNED = 64  # bytes, so that every type's numbers stand where a device likes them


@dataclass(frozen=True, slots=True)
class _Piece:
    """Where the numbers of a tensor or an array stand in `Parcel.bytes`."""

    start: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    is_array: bool


@dataclass(frozen=True, slots=True)
class Parcel:
    """`samples` with a `_Piece` in place of every tensor and array of numbers."""

    bytes: UInt8[Tensor, " n"]
    samples: Any


def pack(samples: Samples) -> Parcel:
    tensors: list[Tensor] = []
    starts = [0]

    def put(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: put(item) for key, item in value.items()}
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.dtype.isnative:
            return piece(torch.from_numpy(np.ascontiguousarray(value)), value.shape, True)
        if isinstance(value, Tensor) and value.device.type == "cpu" and not value.is_sparse:
            return piece(value.detach(), tuple(value.shape), False)
        return value

    def piece(value: Tensor, shape: tuple[int, ...], is_array: bool) -> _Piece:
        tensors.append(value)
        start = starts[-1]
        starts.append(start + math.ceil(value.nbytes / _ALIGNED) * _ALIGNED)
        return _Piece(start, shape, value.dtype, is_array)

    packed = [put(sample) for sample in samples]
    flat = torch.empty(starts[-1], dtype=torch.uint8)
    for start, value in zip(starts, tensors):
        if value.numel():
            flat[start : start + value.nbytes] = value.contiguous().flatten().view(torch.uint8)
    return Parcel(flat, packed)


def unpack(parcel: Parcel) -> list[dict[str, Sample]]:
    """The samples; their tensors and arrays are parts of the one that was sent."""

    def take(value: Any) -> Any:
        if isinstance(value, _Piece):
            size = math.prod(value.shape) * value.dtype.itemsize
            part = parcel.bytes[value.start : value.start + size].view(value.dtype)
            return part.reshape(value.shape).numpy() if value.is_array else part.view(value.shape)
        if isinstance(value, Mapping):
            return {key: take(item) for key, item in value.items()}
        return value

    return [take(sample) for sample in parcel.samples]


def num_bytes(sample: Mapping[str, Sample]) -> int:
    """What the numbers of a sample take, and a little for the rest."""
    return len(pack([sample]).bytes) + 1024
