"""From a recipe's files to the batch of any step, as a pure function of (seed, step, rank)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from omnimask.data.alignment import align
from omnimask.data.mixture import compose
from omnimask.data.order import shuffled
from omnimask.data.reading import open_source, read_sample, window_center
from omnimask.foundation.collective import HostMeeting
from omnimask.foundation.errors import DataError
from omnimask.foundation.rng import fold_key
from omnimask.recipe.batch_share import BatchShare
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.recipe.settings import Stream
from omnimask.tokens.modality import Files, Label, Sample, Source, Visit
from omnimask.tokens.tokens import Group

_NAMES_COMPARED = 1000
_REPLACEMENT_TRIES = 20  # bad samples in a row before a data folder is called unusable


@dataclass(frozen=True, kw_only=True, slots=True)
class BadFile:
    """A sample that could not be read: replaced in training, left out by probes."""

    stream: str
    name: str
    error: str
    use: Literal["training", "probes"] = "training"


class StreamReader:
    """Random access to the groups of one stream; aligned modalities are read on one `Visit`.

    With `labels`, a vector by sample name, there are only the samples that it names, and groups
    have their labels.
    """

    def __init__(
        self,
        stream: Stream,
        files: Mapping[str, Files],
        recipe: RunRecipe,
        labels: Mapping[str, tuple[float, ...]] | None = None,
    ) -> None:
        self.stream, self.seed, self.root = stream, recipe.seed, recipe.data.root
        self.modalities = {name: recipe.modality(name) for name in files}
        self.sources: dict[str, Source] = {
            name: open_source(part, recipe.data.root, self.modalities[name])
            for name, part in files.items()
        }
        self.rows = align(stream.name, self.sources, self.root)
        self.first = next(iter(self.sources))
        self.labels = labels
        if labels is not None:
            name = self.sources[self.first].name
            kept = [n for n, row in enumerate(self.rows[self.first]) if name(int(row)) in labels]
            self.rows = {part: np.asarray(rows)[kept] for part, rows in self.rows.items()}

    def __len__(self) -> int:
        return len(self.rows[self.first])

    def row(self, modality: str, index: int) -> int:
        """The place of a sample in the source of one of its modalities."""
        return int(self.rows[modality][index])

    def name(self, index: int) -> str:
        """The sample's name in its first modality."""
        return self.sources[self.first].name(self.row(self.first, index))

    def label(self, index: int) -> Label:
        return self.sources[self.first].label(self.row(self.first, index))

    def key(self, index: int, epoch: int) -> int:
        """The key of one visit to one sample, from which all its randomness comes."""
        return fold_key(self.seed, self.stream.name, epoch, self.name(index))

    def places(self, first: int, count: int) -> list[tuple[int, int]]:
        """(index, epoch) of the samples at positions in the stream's endless order."""
        found: list[tuple[int, int]] = []
        while len(found) < count:
            epoch, offset = divmod(first + len(found), len(self))
            stop = min(offset + count - len(found), len(self))
            labels = self.seed, self.stream.name, epoch
            indices = shuffled(np.arange(offset, stop), len(self), *labels)
            found += [(index, epoch) for index in indices.tolist()]
        return found

    def read(self, index: int, visit: Visit) -> dict[str, Sample]:
        """All modalities on one visit; the first with windows of time says where they all cut."""
        if len(self.sources) > 1 and visit.center_s is None:
            visit = self._around_first_window(index, visit)
        return {
            name: read_sample(source, self.row(name, index), visit)
            for name, source in self.sources.items()
        }

    def _around_first_window(self, index: int, visit: Visit) -> Visit:
        for name, source in self.sources.items():
            center_s = window_center(source, self.row(name, index), visit)
            if center_s is not None:
                return replace(visit, center_s=center_s)
        return visit

    def state(self) -> tuple[str, int, int]:
        """What tells two states of the stream's files apart, on any machine: how many there are,
        and a thousand names among them, which move when one comes or goes.
        """
        places = np.unique(np.linspace(0, len(self) - 1, _NAMES_COMPARED).round().astype(int))
        names = [self.name(place) for place in places.tolist()] if len(self) else []
        return self.stream.name, len(self), fold_key(*names)

    def collate(
        self, samples: Sequence[Mapping[str, Sample]], keys: Sequence[int], names: Sequence[str]
    ) -> Group:
        return Group(
            stream=self.stream.name,
            raw={
                name: modality.collate([sample[name] for sample in samples])
                for name, modality in self.modalities.items()
            },
            keys=torch.tensor(keys, dtype=torch.int64),
            names=tuple(names),
            labels=None
            if self.labels is None
            else torch.tensor([self.labels[name] for name in names], dtype=torch.float32),
        )

    def held_out_group(self, indices: Sequence[int]) -> Group:
        """The given samples without augmentation, the same on every call."""
        keys = [self.key(index, epoch=-1) for index in indices]
        samples = [
            self.read(index, Visit(key=key, augment=False)) for index, key in zip(indices, keys)
        ]
        return self.collate(samples, keys, [self.name(index) for index in indices])


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBatch:
    """Everything one process needs for one optimisation step: a list of groups per micro-batch."""

    step: int
    micro: tuple[tuple[Group, ...], ...]
    bad: tuple[BadFile, ...]

    def pin_memory(self) -> "StepBatch":
        return replace(
            self, micro=tuple(tuple(group.pin_memory() for group in part) for part in self.micro)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """Which part of every step this process takes, and where the run starts."""

    rank: int = 0
    world: int = 1
    start_step: int = 0
    samples_seen: Mapping[str, int] | None = None  # per stream, over all processes


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Samples of one group of a step: its micro-batch, its stream, their places in its order."""

    step: int
    micro: int
    stream: int
    positions: range
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplesRead:
    """The samples of a part, before they are put together with the rest of their group; of a whole
    one a worker has made the `group` itself.
    """

    part: Part
    samples: Sequence[Mapping[str, Sample]]
    keys: tuple[int, ...]
    names: tuple[str, ...]
    bad: tuple[BadFile, ...]
    group: Group | None = None


class Steps(Dataset[StepBatch]):
    """`steps[t]` is the batch of step t; any worker can read any part of it."""

    def __init__(self, recipe: RunRecipe, readers: Sequence[StreamReader], shard: Shard) -> None:
        self.recipe, self.readers, self.shard = recipe, readers, shard
        self.share = BatchShare(
            accumulate=recipe.optim.accumulate, rank=shard.rank, world=shard.world
        )
        lengths = {reader.stream.name: len(reader) for reader in readers}
        self.composition = compose(recipe.data, lengths)

    def __len__(self) -> int:
        return self.recipe.optim.steps

    def samples_seen(self, step: int) -> dict[str, int]:
        """Samples of each stream that all processes have taken before `step`."""
        before = self.shard.samples_seen or {}
        start = self.composition.before(self.shard.start_step)
        micro = self.recipe.optim.accumulate
        return {
            name: before.get(name, 0) + (taken - start[name]) * micro
            for name, taken in self.composition.before(step).items()
        }

    def names(self, step: int) -> dict[str, tuple[str, ...]]:
        """By stream, this process's samples of a step, none of which is read."""
        names: dict[str, tuple[str, ...]] = {}
        for part in self.parts(step):
            reader = self.readers[part.stream]
            places = reader.places(part.positions.start, len(part.positions))
            before = names.get(reader.stream.name, ())
            names[reader.stream.name] = before + tuple(reader.name(index) for index, _ in places)
        return names

    def __getitem__(self, step: int) -> StepBatch:
        return self.assembled(step, [self.read(part) for part in self.parts(step)])

    def parts(self, step: int, most: Mapping[str, int] | None = None) -> list[Part]:
        """The step's groups, or parts of them where a stream has `most` samples for a part."""
        seen, sizes = self.samples_seen(step), self.composition.sizes(step)
        return [
            Part(
                step=step,
                micro=number,
                stream=stream,
                positions=positions[start : start + size],
                is_whole=size >= len(positions),
            )
            for number in range(self.share.num_micro)
            for stream, reader in enumerate(self.readers)
            for name in [reader.stream.name]
            for positions in [self._positions(seen[name], number, sizes[name])]
            for size in [(most or {}).get(name, len(positions))]
            for start in range(0, len(positions), size)
        ]

    def _positions(self, seen: int, number: int, size: int) -> range:
        """Of this process's samples of a micro-batch in the stream's endless order."""
        own = self.share.positions(size, number)
        return range(seen + own.start, seen + own.stop)

    def read(self, part: Part) -> SamplesRead:
        reader, bad = self.readers[part.stream], list[BadFile]()
        samples, keys, names = [], [], []
        for place in reader.places(part.positions.start, len(part.positions)):
            index, sample, key = self._sample(reader, *place, bad)
            samples.append(sample)
            keys.append(key)
            names.append(reader.name(index))
        return SamplesRead(
            part=part, samples=samples, keys=tuple(keys), names=tuple(names), bad=tuple(bad)
        )

    def assembled(self, step: int, read: Sequence[SamplesRead]) -> StepBatch:
        """The batch of what was read of the parts of a step, in their order."""
        micro = [
            [self.group(list(parts)) for _, parts in groupby(of_micro, lambda one: one.part.stream)]
            for _, of_micro in groupby(read, lambda one: one.part.micro)
        ]
        bad = tuple(file for one in read for file in one.bad)
        return StepBatch(step=step, micro=tuple(map(tuple, micro)), bad=bad)

    def group(self, parts: Sequence[SamplesRead]) -> Group:
        """Of all the parts that it was read in."""
        first = parts[0]
        if first.group is not None:
            return first.group
        samples = [sample for part in parts for sample in part.samples]
        keys = [key for part in parts for key in part.keys]
        names = [name for part in parts for name in part.names]
        return self.readers[first.part.stream].collate(samples, keys, names)

    def _sample(
        self, reader: StreamReader, index: int, epoch: int, bad: list[BadFile]
    ) -> tuple[int, dict[str, Sample], int]:
        """The sample at a place; where it cannot be read, another one chosen by its key."""
        first_key = reader.key(index, epoch)
        failure: DataError | None = None
        for attempt in range(_REPLACEMENT_TRIES):
            key = reader.key(index, epoch)
            try:
                return index, reader.read(index, Visit(key=key)), key
            except DataError as error:
                if self.recipe.data.max_bad_files == 0:
                    raise DataError(
                        f"{error} (set data.max_bad_files to train on without such files; they "
                        "are then listed in bad_files.jsonl)"
                    ) from error
                failure = error
            name = reader.name(index)
            bad.append(BadFile(stream=reader.stream.name, name=name, error=str(failure)))
            index = fold_key(first_key, "replacement", attempt) % len(reader)
        raise DataError(
            f"stream {reader.stream.name}: {_REPLACEMENT_TRIES} samples in a row could not be "
            f"read, the last because: {failure}"
        )


def open_streams(recipe: Recipe) -> list[StreamReader]:
    return [StreamReader(stream, stream.files, recipe) for stream in recipe.data.streams]


def check_alike(readers: Sequence[StreamReader]) -> None:
    """DataError where the processes of a run do not see the same files: their batches would overlap
    and miss samples without a word. Every process calls it.
    """
    own = [reader.state() for reader in readers]
    for rank, theirs in enumerate(HostMeeting().gather(own)):
        for reader, one, other in zip(readers, own, theirs, strict=True):
            if one != other:
                raise DataError(
                    f"stream {reader.stream.name}: process {rank} sees {other[1]} samples, "
                    f"this one sees {one[1]}, or their names differ; files came or went while the "
                    "run began, or machines have other copies; start again"
                )


def open_held_out(recipe: Recipe) -> list[StreamReader]:
    """Readers of the streams that have held-out files."""
    return [
        StreamReader(stream, stream.held_out, recipe)
        for stream in recipe.data.streams
        if stream.held_out is not None
    ]
