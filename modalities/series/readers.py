"""Recordings in files: numbers over time, with what they say of their times."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from omnimask.data.folders import suffix_of
from omnimask.data.reading import named_errors
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs
from omnimask.foundation.versions import installed_version

if TYPE_CHECKING:
    from pyarrow import ChunkedArray, Table

TEXT = {".csv": ",", ".tsv": "\t"}
TABLES = (*TEXT, ".parquet", ".pq")
SUFFIXES = (*TABLES, ".npy", ".npz")


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """What of a table, or of an .npz file, is read: `names` of columns, None for all but the time;
    `time` the one with seconds, or instants."""

    names: tuple[str, ...] | None
    time: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """`values` (steps, numbers of a step), NaN in gaps; `names` of the numbers where the file has
    some; `times_s` of the steps, ascending, where it says them; or their `rate_hz`; `num_joints`
    of a step in an array with an axis for them."""

    values: Float[np.ndarray, "t k"]
    names: tuple[str, ...] | None = None
    times_s: Float[np.ndarray, " t"] | None = None
    rate_hz: float | None = None
    num_joints: int | None = None


def read_recording(path: Path, columns: Columns) -> Recording:
    """DataError, naming the file, where it is damaged or holds other things than numbers."""
    with named_errors(str(path)):
        if not path.is_file():
            raise DataError(f"{path}: there is no such file")
        suffix = suffix_of(path, SUFFIXES)
        if suffix == ".npy":
            array = np.load(path, allow_pickle=False)
            recording = Recording(values=_flat(path, array), num_joints=_num_joints(array))
        elif suffix == ".npz":
            recording = _of_npz(path, columns)
        else:
            recording = _of_table(path, suffix, columns)
    return _checked(path, recording)


def _checked(path: Path, recording: Recording) -> Recording:
    times_s = recording.times_s
    if not recording.values.size:
        raise DataError(f"{path}: holds no steps; remove or replace it")
    if np.isinf(recording.values).any():
        raise DataError(f"{path}: has infinite numbers; mend it, or leave gaps where none is known")
    if times_s is not None and not (np.isfinite(times_s).all() and (np.diff(times_s) > 0).all()):
        raise DataError(f"{path}: its times do not rise from row to row; sort or mend them")
    return recording


def _flat(path: Path, array: np.ndarray) -> Float[np.ndarray, "t k"]:
    """(t), (t k) or (t j c)."""
    if array.dtype.kind not in "iufb" or array.ndim not in (1, 2, 3):
        raise DataError(
            f"{path}: has the shape {array.shape} of {array.dtype}; expected numbers over (time, "
            "channels) or (time, joints, coordinates)"
        )
    with np.errstate(invalid="ignore", over="ignore"):  # of a damaged file; infinite is refused
        return array.reshape(len(array), -1).astype(np.float64)


def _num_joints(array: np.ndarray) -> int | None:
    return array.shape[1] if array.ndim == 3 else None


def _of_npz(path: Path, columns: Columns) -> Recording:
    """The array `columns.names[0]`, or `series`, or the only one but `rate_hz` and the time's."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    time, rate = arrays.pop(columns.time or "time_s", None), arrays.pop("rate_hz", None)
    name = columns.names[0] if columns.names else "series"
    if name not in arrays and len(arrays) == 1 and not columns.names:
        (name,) = arrays
    if name not in arrays:
        raise DataError(
            f"{path}: holds the arrays {', '.join(arrays) or 'none'}; expected {name!r}; name it "
            "in SeriesFiles.columns"
        )
    values = _flat(path, arrays[name])
    if time is not None and time.shape != (len(values),):
        raise DataError(f"{path}: has {time.shape} times for {len(values)} steps; mend it")
    return Recording(
        values=values,
        times_s=None if time is None else time.astype(np.float64),
        rate_hz=None if rate is None else float(rate),
        num_joints=_num_joints(arrays[name]),
    )


def _of_table(path: Path, suffix: str, columns: Columns) -> Recording:
    needs("pyarrow", extra="series", what=str(path))
    import pyarrow.parquet

    delimiter = TEXT.get(suffix)
    read = pyarrow.parquet.read_table
    table = read(path) if delimiter is None else _text_table(path, delimiter)
    wanted = columns.names or tuple(name for name in table.column_names if name != columns.time)
    for name in (*wanted, *([columns.time] if columns.time else [])):
        if table.column_names.count(name) != 1:
            raise DataError(
                f"{path}: has no column {name!r}, or several; it has "
                f"{', '.join(table.column_names)}; name columns and time_column in SeriesFiles"
            )
    parts = [_numbers(path, name, table[name]) for name in wanted]
    return Recording(
        values=np.stack(parts, axis=1) if parts else np.zeros((0, 0)),
        names=wanted,
        times_s=_seconds(path, columns.time, table[columns.time]) if columns.time else None,
    )


def _text_table(path: Path, delimiter: str) -> "Table":
    """With the names of the first line, or numbers for names where it is one of numbers."""
    from pyarrow import csv as arrow_csv

    data = path.read_bytes()
    if not data.strip():
        raise DataError(f"{path}: is empty; remove or replace it")
    first = data.splitlines()[0].decode("utf-8-sig")
    cells = next(csv.reader([first], delimiter=delimiter))
    return arrow_csv.read_csv(
        io.BytesIO(data),
        read_options=arrow_csv.ReadOptions(
            autogenerate_column_names=all(_is_number(cell) for cell in cells), use_threads=False
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
        convert_options=arrow_csv.ConvertOptions(strings_can_be_null=True),
    )


def column_names(path: Path) -> tuple[str, ...]:
    """Of a table; numbers where its first line is one of numbers. DataError for a damaged one."""
    needs("pyarrow", extra="series", what=str(path))
    import pyarrow.parquet

    delimiter = TEXT.get(suffix_of(path, SUFFIXES))
    with named_errors(str(path)):
        if delimiter is None:
            return tuple(pyarrow.parquet.read_schema(path).names)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return tuple(next(csv.reader(file, delimiter=delimiter), []))


def array_names(path: Path) -> tuple[str, ...]:
    """Of an .npz file."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        return tuple(found.files)


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _numbers(path: Path, name: str, column: "ChunkedArray") -> Float[np.ndarray, " t"]:
    """With NaN for what is missing."""
    import pyarrow as pa

    kind = column.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not numeric and not pa.types.is_null(kind) and not pa.types.is_decimal(kind):
        raise DataError(
            f"{path}: its column {name!r} holds {kind}, not numbers; name the columns that do in "
            "SeriesFiles.columns, and that of the time in time_column"
        )
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _seconds(path: Path, name: str, column: "ChunkedArray") -> Float[np.ndarray, " t"]:
    """Of numbers as they are; instants from the first one on."""
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        return _numbers(path, name, column)
    if column.null_count or not len(column):
        return np.full(max(len(column), 1), np.nan)
    instants = column.cast(pa.timestamp("ns")).to_numpy().astype(np.int64)
    return (instants - instants[0]) / 1e9


def write_recording(
    path: Path, recording: Recording, *, time: str | None, shape: Sequence[int]
) -> None:
    """As CSV, Parquet, NPY or NPZ by the name; `shape` of a step is that of arrays."""
    values, suffix = recording.values, suffix_of(path, SUFFIXES)
    if suffix in (".npy", ".npz"):
        array = values.reshape(len(values), *shape)
        save = np.save if suffix == ".npy" else np.savez_compressed
        save(path, array)
        return
    needs("pyarrow", extra="series", what=str(path))
    import pyarrow as pa
    import pyarrow.parquet
    from pyarrow import csv as arrow_csv

    names = recording.names or tuple(f"f{number}" for number in range(values.shape[1]))
    columns = dict(zip(names, values.T, strict=True))
    if time and recording.times_s is not None:
        columns = {time: recording.times_s, **columns}
    table = pa.table({name: pa.array(part) for name, part in columns.items()})
    if suffix in TEXT:
        arrow_csv.write_csv(table, path, arrow_csv.WriteOptions(delimiter=TEXT[suffix]))
    else:
        pyarrow.parquet.write_table(table, path)


def available_readers() -> dict[str, str]:
    """By format, what reads it here."""
    version = installed_version("pyarrow")
    tables = f"pyarrow {version}" if version else "missing: pyarrow (omnimask[series])"
    return {name: tables if name in TABLES else f"numpy {np.__version__}" for name in SUFFIXES}
