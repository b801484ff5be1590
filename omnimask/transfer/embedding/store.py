"""Vectors in a Parquet file that grows by whole parts, so that no death leaves half of one.

While a run goes on, its parts lie in `<out>.parts/`; at its end they become row groups of `<out>`.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.optional import needs
from omnimask.transfer.embedding.vectors import Embedding, Key, Part

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

_ROW_GROUP = 8192
_META = b"omnimask"


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What the vectors of one file have in common; `encoder` is its name, `model` its hash."""

    model: str
    encoder: str
    pooling: str
    width: int


class Store:
    """The file `out` and the parts beside it. RecipeError where they are another encoder's."""

    def __init__(self, out: Path, made: Made) -> None:
        _pyarrow(out)
        self.out, self.made = out, made
        self.folder = out.with_name(out.name + ".parts")
        self._partial = out.with_name(out.name + ".partial")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self._partial.unlink(missing_ok=True)
        self.done: set[Key] = set()
        if out.exists():
            self._check(out)
            self.done |= set(keys_of(out))
        finished = set(self.done)
        self._earlier: list[Path] = []
        for path in sorted(self.folder.glob("*.parquet")):
            self._check(path)
            keys = set(keys_of(path))
            if keys <= finished:
                path.unlink()  # left by a death after the parts were put together
                continue
            self.done |= keys
            self._earlier.append(path)
        self._order: list[Path] = []

    def write(self, part: Part, embeddings: Sequence[Embedding]) -> None:
        """All of the part or nothing of it, even if the machine loses power."""
        if not embeddings:
            return
        self.folder.mkdir(exist_ok=True)
        path = self._place(part)
        partial = path.with_suffix(".partial")
        _pyarrow(partial).parquet.write_table(self._table(embeddings), partial)
        _to_disk(partial)
        partial.replace(path)
        self._order.append(path)
        self.done |= {e.key for e in embeddings}

    def visited(self, part: Part) -> None:
        """A part that an earlier run wrote has its place where this run would have written it."""
        path = self._place(part)
        if path in self._earlier:
            self._earlier.remove(path)
            self._order.append(path)

    def finish(self) -> int:
        """Puts all parts into `out`; returns how many vectors it then has."""
        parts = [*self._earlier, *self._order]
        if parts or not self.out.exists():
            self._put_together(parts)
        for path in parts:
            path.unlink()
        if self.folder.exists():
            for left in self.folder.glob("*.partial"):
                left.unlink()
            self.folder.rmdir()
        return _pyarrow(self.out).parquet.read_metadata(self.out).num_rows

    def _put_together(self, parts: Sequence[Path]) -> None:
        parquet = _pyarrow(self.out).parquet
        with parquet.ParquetWriter(self._partial, self._schema()) as writer:
            if self.out.exists():
                with parquet.ParquetFile(self.out) as file:
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group).cast(self._schema()))
            for table in _grouped(parts):
                writer.write_table(table.cast(self._schema()))
        _to_disk(self._partial)
        self._partial.replace(self.out)

    def _place(self, part: Part) -> Path:
        keys = json.dumps([part.modality, *([key.path, key.row] for key in part.keys)])
        return self.folder / f"{hashlib.sha256(keys.encode()).hexdigest()[:24]}.parquet"

    def _schema(self) -> Any:
        arrow = _pyarrow(self.out)
        text = arrow.string()
        return arrow.schema(
            [
                arrow.field("path", text, nullable=False),
                arrow.field("row", arrow.int64()),
                arrow.field("modality", text, nullable=False),
                arrow.field("label", text),
                arrow.field("model", text, nullable=False),
                arrow.field("pooling", text, nullable=False),
                arrow.field("vector", arrow.list_(arrow.float32(), self.made.width)),
            ],
            metadata={_META: json.dumps(asdict(self.made))},
        )

    def _table(self, embeddings: Sequence[Embedding]) -> "pyarrow.Table":
        arrow = _pyarrow(self.out)
        count = len(embeddings)
        flat = np.concatenate([e.vector for e in embeddings])
        columns = [
            [e.key.path for e in embeddings],
            [e.key.row for e in embeddings],
            [e.modality for e in embeddings],
            [e.label for e in embeddings],
            [self.made.model] * count,
            [self.made.pooling] * count,
            arrow.FixedSizeListArray.from_arrays(arrow.array(flat), self.made.width),
        ]
        schema = self._schema()
        arrays = [arrow.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
        return arrow.Table.from_arrays(arrays, schema=schema)

    def _check(self, path: Path) -> None:
        found = made_of(path)
        if found != self.made:
            raise RecipeError(
                f"{path} has vectors of the encoder {found.encoder} ({found.model}), pooling "
                f"{found.pooling}; this one is {self.made.encoder} ({self.made.model}), pooling "
                f"{self.made.pooling}. Vectors of two encoders cannot be compared: name another "
                "--out, or remove that file"
            )


def made_of(path: Path) -> Made:
    """DataError where the file was not written by `omnimask embed`."""
    arrow = _pyarrow(path)
    try:
        meta = arrow.parquet.read_schema(path).metadata or {}
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as a Parquet file: {error}") from error
    if _META not in meta:
        raise DataError(f"{path} was not written by `omnimask embed`: it names no encoder")
    return Made(**json.loads(meta[_META]))


def keys_of(path: Path) -> Iterator[Key]:
    with _pyarrow(path).parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["path", "row"]):
            paths, rows = (batch.column(name).to_pylist() for name in ("path", "row"))
            yield from (Key(path=p, row=r) for p, r in zip(paths, rows, strict=True))


def _grouped(parts: Sequence[Path]) -> Iterator["pyarrow.Table"]:
    """The parts' tables, as many at once as make a row group."""
    waiting, count = [], 0
    for path in parts:
        arrow = _pyarrow(path)
        waiting.append(arrow.parquet.read_table(path))
        count += waiting[-1].num_rows
        if count >= _ROW_GROUP or path == parts[-1]:
            yield arrow.concat_tables(waiting)
            waiting, count = [], 0


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _pyarrow(path: Path) -> Any:
    needs("pyarrow", extra="tabular", what=str(path))
    import pyarrow
    import pyarrow.parquet

    return pyarrow
