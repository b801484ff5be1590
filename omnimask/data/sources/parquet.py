"""Files that lie as bytes in a column of Parquet tables, as on the Hugging Face hub.

The column holds bytes, or records of `bytes` and `path`. A row is read with its row group, of which
each process keeps a few: groups of a hundred rows or so suit random access.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnimask.data.file_list import LabelsFrom
from omnimask.data.kept import Columns
from omnimask.data.names import Names
from omnimask.data.sources.listing import (
    fingerprint,
    fitting_end,
    listed_once,
    nothing_found,
    sorted_columns,
)
from omnimask.data.sources.stored import StoredFiles, check_name
from omnimask.foundation.errors import DataError, nearest_names

if TYPE_CHECKING:
    import pyarrow

_GROUPS_KEPT = 4  # in each process
_STARTS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"fLaC", ".flac"),
    (b"OggS", ".ogg"),
    (b"ID3", ".mp3"),
    (b"\x93NUMPY", ".npy"),
    (b"\x1aE\xdf\xa3", ".mkv"),
    (b"ply", ".ply"),
)


def parquet_files(
    root: str,
    tables: Sequence[Path],
    column: str,
    suffixes: Collection[str],
    *,
    what: str,
    labels: LabelsFrom,
) -> StoredFiles:
    """The rows of all tables whose column has bytes of one of the formats."""
    key = ("parquet", column, sorted(suffixes))
    kept = listed_once(root, key, tables, lambda: _scan(tables, column, sorted(suffixes)))
    where = f"{tables[0].parent} (column {column})"
    if not len(kept.arrays["name"]):
        raise nothing_found(where, what, suffixes)
    has_labels = kept.about["has_labels"]
    return StoredFiles(
        folder=where,
        names=Names(kept.arrays["name"], kept.pointer),
        store=ParquetStore(
            tuple(tables), column, *(kept.arrays[name] for name in ("table", "group", "row"))
        ),
        labels=labels,
        endings=frozenset(kept.about["endings"]),
        fingerprint=fingerprint(key, kept),
        classes=Names(kept.arrays["label"], kept.pointer, "label") if has_labels else None,
    )


@dataclass(frozen=True, slots=True)
class ParquetStore:
    """By position in the index, a table, a row group in it and a row in that."""

    tables: tuple[Path, ...]
    column: str
    table: "pyarrow.Array"
    group: "pyarrow.Array"
    row: "pyarrow.Array"
    groups: OrderedDict[tuple[int, int], Any] = field(default_factory=OrderedDict, repr=False)

    def read(self, index: int, /) -> bytes:
        place = self.table[index].as_py(), self.group[index].as_py()
        if place not in self.groups:
            while len(self.groups) >= _GROUPS_KEPT:
                self.groups.popitem(last=False)
            self.groups[place] = bytes_of(_read_group(self.tables[place[0]], place[1], self.column))
        self.groups.move_to_end(place)
        data = self.groups[place][self.row[index].as_py()].as_py()
        if data is None:
            raise DataError(f"{self.tables[place[0]]}: has no bytes in a row that had some")
        return data

    def __reduce__(self) -> tuple[object, ...]:
        return ParquetStore, (self.tables, self.column, self.table, self.group, self.row)


def _read_group(path: Path, group: int, column: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            return file.read_row_group(group, columns=[column], use_threads=False).column(0)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as a Parquet table: {error}") from error


def bytes_of(column: Any) -> Any:
    """The chunked array of bytes, out of records where it lies in them."""
    import pyarrow as pa

    column = column.combine_chunks()
    column = pa.chunked_array([column]) if isinstance(column, pa.Array) else column
    if pa.types.is_struct(column.type):
        return pa.chunked_array([chunk.field("bytes") for chunk in column.chunks])
    return column


def _scan(tables: Sequence[Path], column: str, suffixes: Sequence[str]) -> Columns:
    names: list[str] = []
    places: dict[str, list[int]] = {"table": [], "group": [], "row": []}
    labels: list[str] = []
    endings: set[str] = set()
    has_labels = False
    for number, path in enumerate(tables):
        for group, said, classes in _groups(path, column):
            has_labels |= bool(classes)
            for row, name in enumerate(said):
                end = None if name is None else fitting_end(name, suffixes)
                if name is None or end is None:
                    continue
                endings.add(end)
                names.append(check_name(name, path))
                labels.append(classes[row] if classes else "")
                for key, value in zip(places, (number, group, row), strict=True):
                    places[key].append(value)
    if len(set(names)) < len(names):  # names of single tables, as "0.jpg" in each
        stems = [tables[number].stem for number in places["table"]]
        names = [f"{stem}/{name}" for stem, name in zip(stems, names, strict=True)]
    found = sorted_columns(
        names, {**places, "label": labels}, where=tables[0].parent, endings=endings
    )
    return Columns(arrays=found.arrays, about={**found.about, "has_labels": has_labels})


def _groups(path: Path, column: str) -> Any:
    """By row group its number, the rows' names (None without bytes) and, if any, their labels."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            check_column(file.schema_arrow, column, path)
            beside = [name for name in ("label",) if name in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                read = file.read_row_group(group, columns=[column, *beside], use_threads=False)
                names = names_of_rows(read.column(column), f"{path.stem}/{group:05d}-")
                classes = [str(x) for x in read.column("label").to_pylist()] if beside else []
                yield group, names, classes
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as a Parquet table: {error}") from error


def names_of_rows(column: Any, before: str) -> list[str | None]:
    """The path that a record states, else `before` and the number of the row, with the suffix of
    what its column has; None where there are no bytes.
    """
    import pyarrow as pa

    data = bytes_of(column)
    stated: list[Any] = [None] * len(data)
    if pa.types.is_struct(column.type) and "path" in column.type.names:
        stated = [path.as_py() for chunk in column.chunks for path in chunk.field("path")]
    end = next((_end_of(one.as_py()) for one in data if one.is_valid), "")
    return [
        (said or f"{before}{row:06d}{end}") if one.is_valid else None
        for row, (one, said) in enumerate(zip(data, stated, strict=True))
    ]


def check_column(schema: Any, column: str, path: Path) -> None:
    """DataError where there is no such column of bytes."""
    import pyarrow as pa

    if column not in schema.names:
        raise DataError(f"{path}: has no column {column!r}; {nearest_names(column, schema.names)}")
    kind = schema.field(column).type
    inside = (
        kind.field("bytes").type if pa.types.is_struct(kind) and "bytes" in kind.names else kind
    )
    if not (pa.types.is_binary(inside) or pa.types.is_large_binary(inside)):
        raise DataError(f"{path}: column {column!r} holds {kind}; expected bytes of files")


def _end_of(data: bytes) -> str:
    """The suffix of what the bytes are by their start; readers choose by it."""
    if data[8:12] in (b"WEBP", b"WAVE") and data[:4] == b"RIFF":
        return ".webp" if data[8:12] == b"WEBP" else ".wav"
    if data[4:8] == b"ftyp":
        return ".mp4"
    return next((end for start, end in _STARTS if data.startswith(start)), "")
