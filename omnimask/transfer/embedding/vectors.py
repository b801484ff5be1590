"""From files to vectors, a part of at most so many samples at a time."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from omnimask.data.reading import read_sample
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.network.pooling import Pooling
from omnimask.tokens.modality import Sample, Source, Visit
from omnimask.transfer.embedding.file_reader import Reading
from omnimask.transfer.embedding.listing import Kinds, NotEmbedded, walk
from omnimask.transfer.pretrained_encoder import PretrainedEncoder


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedOptions:
    """`batch_size` samples go through the encoder at once; `part_size` of one modality are written
    at once, and are lost when the process dies. `modality`: see `Kinds`.
    """

    pooling: Pooling = "mean"
    batch_size: int = 32
    part_size: int = 256
    modality: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.part_size < 1:
            raise RecipeError(
                f"batch_size and part_size must be >= 1, got {self.batch_size}, {self.part_size}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One sample: a file, or a row of one (counted from 0 below the header)."""

    path: str
    row: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedding:
    """`label`: that of a table's row, else the name of the file's folder."""

    key: Key
    modality: str
    label: str | None
    vector: Float32[np.ndarray, " d"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Samples of one modality that are embedded and written together. `rows` are the places in
    the source of a file of rows; None where every path is one sample.
    """

    modality: str
    paths: tuple[str, ...]
    rows: tuple[tuple[int, Key], ...] | None = None

    @property
    def keys(self) -> tuple[Key, ...]:
        if self.rows is not None:
            return tuple(key for _, key in self.rows)
        return tuple(Key(path=path) for path in self.paths)

    def without(self, done: Collection[Key]) -> "Part":
        if self.rows is not None:
            return replace(self, rows=tuple(row for row in self.rows if row[1] not in done))
        return replace(self, paths=tuple(p for p in self.paths if Key(path=p) not in done))


@dataclass(kw_only=True, slots=True)
class Embedder:
    """An encoder, how its files are read, and what cannot be embedded.

    `source` is that of the table last opened: its rows come part after part.
    """

    encoder: PretrainedEncoder
    readings: dict[str, Reading]
    options: EmbedOptions
    _opened: tuple[str, Source] | None = field(default=None)

    def parts(
        self, paths: Sequence[Path | str], *, but_not: Callable[[str], bool] = lambda _: False
    ) -> Iterator[Part | NotEmbedded]:
        """A pure function of the files, so that an interrupted run meets the same parts again.

        A file is met once, however often it is named; `but_not` leaves some out. RecipeError
        at once where a file found could be of several modalities.
        """
        kinds = Kinds(self.readings, self.options.modality)
        for path, _ in walk(paths):
            if not but_not(path):
                kinds.modality(path)
        waiting: dict[str, list[str]] = {name: [] for name in self.readings}
        seen: set[str] = set()
        for path, named in walk(paths):
            if path in seen or but_not(path):
                continue
            seen.add(path)
            name = kinds.modality(path)
            if name is None:
                yield kinds.unknown(path, named=named)
            elif self.readings[name].reader.in_rows:
                yield from self._row_parts(name, path)
            else:
                waiting[name].append(path)
                if len(waiting[name]) == self.options.part_size:
                    yield Part(modality=name, paths=tuple(waiting[name]))
                    waiting[name].clear()
        for name, rest in waiting.items():
            if rest:
                yield Part(modality=name, paths=tuple(rest))

    def _row_parts(self, name: str, path: str) -> Iterator[Part | NotEmbedded]:
        try:
            source = self._open(name, path)
        except DataError as error:
            yield NotEmbedded(path=path, kind="unreadable", reason=str(error))
            return
        for first in range(0, len(source), self.options.part_size):
            places = range(first, min(first + self.options.part_size, len(source)))
            rows = tuple((i, Key(path=path, row=row_of(source.name(i)))) for i in places)
            yield Part(modality=name, paths=(path,), rows=rows)

    def embed(self, part: Part) -> Iterator[Embedding | NotEmbedded]:
        """In the order of the part; what cannot be read is said instead."""
        size = self.options.batch_size
        for first in range(0, len(part.keys), size):
            read: list[tuple[Key, str | None, Sample]] = []
            for place in range(first, min(first + size, len(part.keys))):
                key = part.keys[place]
                try:
                    read.append((key, *self._read(part, place)))
                except DataError as error:
                    yield NotEmbedded(path=key.path, kind="unreadable", reason=str(error))
            if read:
                yield from self._vectors(part.modality, read)

    def _read(self, part: Part, place: int) -> tuple[str | None, Sample]:
        visit = Visit(key=0, augment=False)
        if part.rows is None:
            path = part.paths[place]
            return Path(path).parent.name or None, read_sample(
                self._open(part.modality, path), 0, visit
            )
        source = self._open(part.modality, part.paths[0])
        index = part.rows[place][0]
        label = source.label(index)
        return None if label is None else str(label), read_sample(source, index, visit)

    def _open(self, modality: str, path: str) -> Source:
        reading = self.readings[modality]
        if not reading.reader.in_rows:
            return reading.open(path)
        if self._opened is None or self._opened[0] != path:
            self._opened = None  # two tables are never in memory together
            self._opened = path, reading.open(path)
        return self._opened[1]

    def _vectors(
        self, modality: str, read: Sequence[tuple[Key, str | None, Sample]]
    ) -> Iterator[Embedding | NotEmbedded]:
        samples = [{modality: sample} for _, _, sample in read]
        vectors = self.encoder.embed(samples, pooling=self.options.pooling).cpu().numpy()
        for (key, label, _), vector in zip(read, vectors, strict=True):
            if np.isfinite(vector).all():
                yield Embedding(key=key, modality=modality, label=label, vector=vector)
            else:
                reason = f"{key.path}: the encoder gives NaN or infinite features for it"
                yield NotEmbedded(path=key.path, kind="unreadable", reason=reason)


def row_of(name: str) -> int | None:
    """The row in a source's name of a sample, such as "a.csv#row 12"."""
    _, found, number = name.rpartition("#row ")
    return int(number) if found else None
