"""From a recipe's files to the batch of any step, as a pure function of (seed, step, rank)."""

import faulthandler
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset

from omnimask.data.reading import open_source, read_sample, window_center
from omnimask.foundation.errors import DataError, OmnimaskError
from omnimask.foundation.rng import fold_key, permutation
from omnimask.recipe.batch_share import BatchShare
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.recipe.settings import Stream
from omnimask.tokens.modality import Files, Label, Sample, Source, Visit
from omnimask.tokens.tokens import Group

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
        self.aligned = _align(stream.name, self.sources)
        self.labels = labels
        if labels is not None:
            first = next(iter(self.sources))
            name = self.sources[first].name
            self.aligned = [rows for rows in self.aligned if name(rows[first]) in labels]

    def __len__(self) -> int:
        return len(self.aligned)

    def name(self, index: int) -> str:
        """The sample's name in its first modality."""
        first = next(iter(self.sources))
        return self.sources[first].name(self.aligned[index][first])

    def label(self, index: int) -> Label:
        first = next(iter(self.sources))
        return self.sources[first].label(self.aligned[index][first])

    def key(self, index: int, epoch: int) -> int:
        """The key of one visit to one sample, from which all its randomness comes."""
        return fold_key(self.seed, self.stream.name, epoch, self.name(index))

    def place(self, position: int) -> tuple[int, int]:
        """(index, epoch) of the sample at a position in the stream's endless order."""
        epoch, offset = divmod(position, len(self))
        return int(_order(len(self), self.seed, self.stream.name, epoch)[offset]), epoch

    def read(self, index: int, visit: Visit) -> dict[str, Sample]:
        """All modalities on one visit; the first with windows of time says where they all cut."""
        rows = self.aligned[index]
        if len(self.sources) > 1 and visit.center_s is None:
            visit = self._around_first_window(rows, visit)
        return {
            name: read_sample(source, rows[name], visit) for name, source in self.sources.items()
        }

    def _around_first_window(self, rows: Mapping[str, int], visit: Visit) -> Visit:
        for name, source in self.sources.items():
            center_s = window_center(source, rows[name], visit)
            if center_s is not None:
                return replace(visit, center_s=center_s)
        return visit

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


@lru_cache(maxsize=16)
def _order(length: int, seed: int, stream: str, epoch: int) -> Any:
    return permutation(length, seed, stream, epoch)


def _align(stream: str, sources: Mapping[str, Source]) -> list[dict[str, int]]:
    """Per sample, the index in every source; several sources meet by name without suffix."""
    if len(sources) == 1:
        ((name, source),) = sources.items()
        return [{name: index} for index in range(len(source))]
    by_stem = {
        name: {
            str(PurePosixPath(source.name(index)).with_suffix("")): index
            for index in range(len(source))
        }
        for name, source in sources.items()
    }
    first, *others = by_stem.values()
    shared = [stem for stem in first if all(stem in other for other in others)]
    if not shared:
        examples = {name: next(iter(stems), None) for name, stems in by_stem.items()}
        raise DataError(
            f"stream {stream}: no sample has all of {sorted(sources)}; files are aligned by their "
            f"path without suffix, and the first ones are {examples}"
        )
    return [{name: stems[stem] for name, stems in by_stem.items()} for stem in shared]


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


class Steps(Dataset[StepBatch]):
    """`steps[t]` is the batch of step t; any worker can make any step."""

    def __init__(self, recipe: RunRecipe, readers: Sequence[StreamReader], shard: Shard) -> None:
        self.recipe, self.readers, self.shard = recipe, readers, shard
        self.share = BatchShare(
            accumulate=recipe.optim.accumulate, rank=shard.rank, world=shard.world
        )

    def __len__(self) -> int:
        return self.recipe.optim.steps

    def samples_seen(self, step: int) -> dict[str, int]:
        """Samples of each stream that all processes have taken before `step`."""
        before = self.shard.samples_seen or {}
        taken = (step - self.shard.start_step) * self.recipe.optim.accumulate
        return {
            reader.stream.name: before.get(reader.stream.name, 0) + taken * reader.stream.batch_size
            for reader in self.readers
        }

    def names(self, step: int) -> dict[str, tuple[str, ...]]:
        """By stream, the samples of a step, none of which is read."""
        seen = self.samples_seen(step)
        return {
            reader.stream.name: tuple(
                reader.name(reader.place(seen[reader.stream.name] + position)[0])
                for number in range(self.share.num_micro)
                for position in self.share.positions(reader.stream.batch_size, number)
            )
            for reader in self.readers
        }

    def __getitem__(self, step: int) -> StepBatch:
        bad: list[BadFile] = []
        seen = self.samples_seen(step)
        micro = tuple(
            tuple(
                self._group(reader, seen[reader.stream.name], number, bad)
                for reader in self.readers
            )
            for number in range(self.share.num_micro)
        )
        return StepBatch(step=step, micro=micro, bad=tuple(bad))

    def _group(self, reader: StreamReader, seen: int, number: int, bad: list[BadFile]) -> Group:
        samples, keys, names = [], [], []
        for position in self.share.positions(reader.stream.batch_size, number):
            index, sample, key = self._sample(reader, seen + position, bad)
            samples.append(sample)
            keys.append(key)
            names.append(reader.name(index))
        return reader.collate(samples, keys, names)

    def _sample(
        self, reader: StreamReader, position: int, bad: list[BadFile]
    ) -> tuple[int, dict[str, Sample], int]:
        """The sample at a position; where it cannot be read, another one chosen by its key."""
        index, epoch = reader.place(position)
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


def open_held_out(recipe: Recipe) -> list[StreamReader]:
    """Readers of the streams that have held-out files."""
    return [
        StreamReader(stream, stream.held_out, recipe)
        for stream in recipe.data.streams
        if stream.held_out is not None
    ]


def _outlive_signals(worker: int) -> None:
    """Schedulers signal the whole process group; the main process decides when workers end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR2, file=2)  # a watchdog asks where a worker hangs


class _StepsOrErrors(Dataset[StepBatch | OmnimaskError]):
    """The batch of a step, or why there is none: a process alone must not raise, others wait."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def __getitem__(self, step: int) -> StepBatch | OmnimaskError:
        try:
            return self.steps[step]
        except OmnimaskError as error:
            return type(error)(str(error))  # without its traceback, which no process can send


def load_steps(
    steps: Steps, *, num_workers: int, pin_memory: bool
) -> DataLoader[StepBatch | OmnimaskError]:
    """Batches of the remaining steps in order; worker processes make whole steps ahead of time."""
    return DataLoader(
        _StepsOrErrors(steps),
        batch_size=None,
        sampler=range(steps.shard.start_step, len(steps)),
        num_workers=num_workers,
        prefetch_factor=2 if num_workers else None,
        pin_memory=pin_memory,
        worker_init_fn=_outlive_signals,
    )
