"""Rows of different lengths, packed one after another without padding.

A packed tensor is (t ...) with t the sum of `lengths`; a padded one is (r width ...) with width the
longest. `lengths` are host integers: all index arithmetic happens on the host, so that packing
never waits for the device, and rows of equal length need no index at all.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor

Lengths = tuple[int, ...]


def equal(lengths: Lengths) -> bool:
    """Whether packed rows are also a dense block."""
    return min(lengths) == max(lengths)


def host_index(ids: Sequence[int], device: torch.device) -> Tensor:
    """An index tensor from host integers, copied to `device` without waiting for it."""
    index = torch.tensor(ids, dtype=torch.long)
    if device.type == "cuda":
        return index.pin_memory().to(device, non_blocking=True)
    return index.to(device)


@lru_cache(maxsize=256)
def _padded_slots(lengths: Lengths, width: int, device: torch.device) -> Tensor:
    """For every packed token, its place in the padded (r * width) order."""
    return host_index([r * width + j for r, n in enumerate(lengths) for j in range(n)], device)


@lru_cache(maxsize=256)
def row_of_token(lengths: Lengths, device: torch.device) -> Tensor:
    """For every packed token, the row it belongs to."""
    return host_index([row for row, length in enumerate(lengths) for _ in range(length)], device)


def pack(padded: Tensor, lengths: Lengths) -> Tensor:
    """(r width ...) -> (t ...), keeping the first `lengths[i]` entries of row i."""
    width = padded.shape[1]
    flat = padded.flatten(0, 1)
    if min(lengths) == width:
        return flat
    return flat.index_select(0, _padded_slots(lengths, width, padded.device))


def unpack(packed: Tensor, lengths: Lengths, *, width: int | None = None) -> Tensor:
    """(t ...) -> (r width ...), zero where a row is shorter than the longest (or than `width`)."""
    width = max(lengths) if width is None else width
    if min(lengths) == width:
        return packed.unflatten(0, (len(lengths), width))
    padded = packed.new_zeros(len(lengths) * width, *packed.shape[1:])
    slots = _padded_slots(lengths, width, packed.device)
    return padded.index_copy(0, slots, packed).unflatten(0, (len(lengths), width))


@lru_cache(maxsize=256)
def _interleaving(parts: tuple[Lengths, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """The index that brings concatenated parts into row order, and its inverse."""
    part_starts = list(accumulate((sum(lengths) for lengths in parts), initial=0))
    row_starts = [
        list(accumulate(lengths, initial=start)) for lengths, start in zip(parts, part_starts)
    ]
    order = [
        row_starts[part][row] + j
        for row in range(len(parts[0]))
        for part, lengths in enumerate(parts)
        for j in range(lengths[row])
    ]
    inverse = [0] * len(order)
    for place, source in enumerate(order):
        inverse[source] = place
    return host_index(order, device), host_index(inverse, device)


def interleave(parts: Sequence[tuple[Tensor, Lengths]]) -> tuple[Tensor, Lengths]:
    """Joins packed parts row by row: row i is row i of the first part, then of the second, ..."""
    all_lengths = tuple(lengths for _, lengths in parts)
    joined = tuple(sum(row) for row in zip(*all_lengths, strict=True))
    if all(equal(lengths) for lengths in all_lengths):
        return torch.cat([unpack(x, n) for x, n in parts], dim=1).flatten(0, 1), joined
    order, _ = _interleaving(all_lengths, parts[0][0].device)
    return torch.cat([packed for packed, _ in parts]).index_select(0, order), joined


def separate(packed: Tensor, parts: Sequence[Lengths]) -> tuple[Tensor, ...]:
    """The inverse of `interleave`: the packed parts with the given lengths."""
    if all(equal(lengths) for lengths in parts):
        rows = packed.unflatten(0, (len(parts[0]), sum(lengths[0] for lengths in parts)))
        pieces = rows.split([lengths[0] for lengths in parts], dim=1)
        return tuple(piece.flatten(0, 1) for piece in pieces)
    _, inverse = _interleaving(tuple(parts), packed.device)
    return packed.index_select(0, inverse).split([sum(lengths) for lengths in parts])
