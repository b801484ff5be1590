"""CSV and Parquet files to columns, before it is decided what the columns are."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from modalities.tabular.schema import Kind
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs

if TYPE_CHECKING:
    import pyarrow

DELIMITERS = {".csv": ",", ".tsv": "\t"}
PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = (*DELIMITERS, *PARQUET_SUFFIXES)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedColumn:
    """One column of one file. `cells` is NaN where a cell is missing.

    `words`: the distinct texts that `cells` counts through, or None for numbers, truth values (0
    and 1) and dates (days since 1970). `stored_kind`: what the file says the column is; None in a
    CSV file, which says nothing.
    """

    path: Path
    name: str
    cells: Float64[np.ndarray, " rows"]
    words: Sequence[str] | None = None
    stored_kind: Kind | None = None


def load_columns(
    path: Path, *, delimiter: str | None, missing: Sequence[str], skip: Sequence[str]
) -> list[LoadedColumn]:
    """All columns of a file but those in `skip`; `DataError` naming the file if it is no table."""
    needs("pandas", "pyarrow", extra="tabular", what=str(path))
    import pyarrow

    try:
        if path.suffix.lower() in PARQUET_SUFFIXES:
            table = _read_parquet(path, skip)
        else:
            table = _read_csv(path, delimiter or DELIMITERS[path.suffix.lower()], skip)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a {path.suffix[1:]} table: {error}") from error
    if not table.num_rows:
        raise DataError(f"{path} has no rows below its header; remove the file or add rows")
    return [load_column(path, name, table.column(name), missing) for name in table.column_names]


def _read_parquet(path: Path, skip: Sequence[str]) -> "pyarrow.Table":
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        _check_names(path, names)
        return file.read(columns=[name for name in names if name not in skip], use_threads=False)


def _read_csv(path: Path, delimiter: str, skip: Sequence[str]) -> "pyarrow.Table":
    """Every column as text, so that we decide what a column is, and can say which cell is not."""
    import pyarrow
    import pyarrow.csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file, delimiter=delimiter), [])
    if not names:
        raise DataError(f"{path} is empty; the first line must name the columns")
    _check_names(path, names)
    _check_delimiter(path, names, delimiter)
    return pyarrow.csv.read_csv(
        path,
        # One thread: then an error names the row of a line with too few or too many cells.
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pyarrow.string()),
            include_columns=[name for name in names if name not in skip],
            strings_can_be_null=False,
        ),
    )


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"{path} has several columns named {', '.join(map(repr, twice))}; rename")
    if not all(name.strip() for name in names):
        where = [i for i, name in enumerate(names) if not name.strip()]
        raise DataError(f"{path}: the columns at {where} (from 0) have no name; give them one")


def _check_delimiter(path: Path, names: Sequence[str], delimiter: str) -> None:
    other = [mark for mark in ";\t,|" if mark != delimiter and mark in names[0]]
    if len(names) == 1 and other:
        raise DataError(
            f"{path} has one column, {names[0]!r}, when split at {delimiter!r}; set "
            f"TableFiles(delimiter={other[0]!r})"
        )


def load_column(
    path: Path, name: str, column: "pyarrow.ChunkedArray", missing: Sequence[str]
) -> LoadedColumn:
    """One column as numbers, or as places in its distinct texts; `DataError` for other types."""
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if types.is_null(kind):
        return LoadedColumn(path=path, name=name, cells=np.full(len(column), np.nan))
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        stored_kind = "category" if path.suffix.lower() in PARQUET_SUFFIXES else None
        cells, words = _text(column.cast(pyarrow.large_string()), missing)
        return LoadedColumn(path=path, name=name, cells=cells, words=words, stored_kind=stored_kind)
    if types.is_boolean(kind):
        cells = column.cast(pyarrow.int8()).to_numpy().astype(np.float64)
        return LoadedColumn(path=path, name=name, cells=cells, stored_kind="boolean")
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        cells = column.cast(pyarrow.float64(), safe=False).to_numpy().astype(np.float64)
        return LoadedColumn(path=path, name=name, cells=cells, stored_kind="numeric")
    if types.is_date(kind) or types.is_timestamp(kind):
        micros = column.cast(pyarrow.timestamp("us"), safe=False).to_numpy()
        days = micros.astype("datetime64[us]").astype(np.float64) / 86_400e6
        days[np.isnat(micros)] = np.nan
        return LoadedColumn(path=path, name=name, cells=days, stored_kind="date")
    raise DataError(
        f"{path}: column {name!r} has the type {kind}, which is no number, truth value, date or "
        f"text; leave it out with TableFiles(columns=(({name!r}, 'skip'),))"
    )


def _text(
    column: "pyarrow.ChunkedArray", missing: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Cells as places in the distinct texts; white space around a text does not count."""
    import pyarrow
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(column)  # pyright: ignore[reportAttributeAccessIssue] pyarrow.compute makes its functions at import
    absent = pc.is_in(trimmed, value_set=pyarrow.array(missing, pyarrow.large_string()))  # pyright: ignore[reportAttributeAccessIssue] likewise
    kept = pc.if_else(absent, pyarrow.scalar(None, pyarrow.large_string()), trimmed)  # pyright: ignore[reportAttributeAccessIssue] likewise
    encoded = kept.combine_chunks().dictionary_encode()
    cells = encoded.indices.to_numpy(zero_copy_only=False).astype(np.float64)  # a null is NaN
    return cells, tuple(encoded.dictionary.to_pylist())
