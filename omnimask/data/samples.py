"""Reads samples at their centre view in batches, setting aside those that cannot be read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Label, Visit
from omnimask.tokens.tokens import Group

_TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 16_384}  # on a CPU what fits its cache is fastest
# Tokens of one stream that the encoders see, by device: training, held out. On two CPU cores the
# report of a small recipe then takes about a minute.
_TOKEN_BUDGETS = {"cpu": (32_000, 16_000), "cuda": (2_000_000, 800_000)}
_FEWEST, _MOST = (128, 64), (2000, 512)  # samples: training, held out


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A group and its samples' labels."""

    group: Group
    labels: tuple[Label, ...]


@dataclass(kw_only=True, slots=True)
class Unreadable:
    """Files that were left out of the report, by name, with the error of each."""

    errors: dict[str, str] = field(default_factory=dict)


def spread(length: int, count: int) -> list[int]:
    """At most `count` indices below `length`, evenly spread (files are sorted by class)."""
    count = min(length, count)
    return [i * length // count for i in range(count)]


def readable(reader: StreamReader, count: int, *, forgiving: bool) -> list[int]:
    """At most `count` indices, evenly spread; `forgiving` leaves out what cannot be read."""
    indices = spread(len(reader), count)
    if not forgiving:
        return indices
    kept = []
    for index in indices:
        try:
            reader.read(index, Visit(key=reader.key(index, epoch=-1), augment=False))
        except DataError:
            continue
        kept.append(index)
    return kept or indices


def choose_samples(reader: StreamReader, *, training: bool, device: torch.device) -> list[int]:
    """Which samples of a stream the report reads: all, or as many as the device's budget allows."""
    part = 0 if training else 1
    affordable = _TOKEN_BUDGETS.get(device.type, _TOKEN_BUDGETS["cpu"])[part] // tokens_of(reader)
    return spread(len(reader), min(max(affordable, _FEWEST[part]), _MOST[part]))


def tokens_of(reader: StreamReader) -> int:
    """The most tokens that one sample of the stream can have."""
    return sum(modality.num_tokens for modality in reader.modalities.values())


def read_batches(
    reader: StreamReader, indices: Sequence[int], unreadable: Unreadable, *, device: torch.device
) -> Iterator[Batch]:
    """The given samples, without those that cannot be read, which are noted in `unreadable`."""
    tokens = _TOKENS_PER_BATCH.get(device.type, _TOKENS_PER_BATCH["cpu"])
    size = min(max(tokens // tokens_of(reader), 1), 256)
    for start in range(0, len(indices), size):
        batch = _read(reader, indices[start : start + size], unreadable)
        if batch is not None:
            yield batch


def _read(reader: StreamReader, indices: Sequence[int], unreadable: Unreadable) -> Batch | None:
    samples, kept = [], []
    for index in indices:
        visit = Visit(key=reader.key(index, epoch=-1), augment=False)
        try:
            samples.append(reader.read(index, visit))
        except DataError as error:
            unreadable.errors[reader.name(index)] = str(error)
            continue
        kept.append(index)
    if not kept:
        return None
    keys = [reader.key(index, epoch=-1) for index in kept]
    group = reader.collate(samples, keys, [reader.name(index) for index in kept])
    return Batch(group=group, labels=tuple(reader.label(index) for index in kept))
