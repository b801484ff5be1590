"""What a column is, and its cells as that: number, truth value, date or category."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from modalities.tabular.readers.loading import LoadedColumn
from modalities.tabular.schema import Kind
from omnimask.foundation.errors import DataError

INFERRED_BOOLEANS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
DECLARED_BOOLEANS = {**INFERRED_BOOLEANS, "1": 1.0, "0": 0.0, "t": 1.0, "f": 0.0} | {
    "y": 1.0,
    "n": 0.0,
}

Numbers = Float64[np.ndarray, " rows"]


def infer_kind(columns: Sequence[LoadedColumn]) -> Kind:
    """The kind of one column over all files of a table.

    What a Parquet file says holds. In a CSV file, in this order: all truth values (true, false,
    yes, no): boolean; all numbers: numeric, however few distinct ones; all ISO 8601 dates: date;
    anything else: category. A column without any cell is numeric. `DataError` if the files differ.
    """
    kinds: dict[Path, Kind] = {}
    for column in columns:
        kind = _kind_in_file(column)
        if kind is not None:
            kinds[column.path] = kind
    distinct = list(dict.fromkeys(kinds.values()))
    if len(distinct) <= 1:
        return distinct[0] if distinct else "numeric"
    if all(column.words is not None for column in columns):
        return "category"
    first = columns[0]
    raise DataError(
        f"column {first.name!r} is of several kinds: "
        + ", ".join(f"{kind} in {path}" for path, kind in kinds.items())
        + f"; declare one with TableFiles(columns=(({first.name!r}, 'category'),))"
    )


def _kind_in_file(column: LoadedColumn) -> Kind | None:
    if column.stored_kind is not None or column.words is None or not column.words:
        return None if np.isnan(column.cells).all() else column.stored_kind
    if all(word.lower() in INFERRED_BOOLEANS for word in column.words):
        return "boolean"
    if not np.isnan(_parse_numbers(column.words)).any():
        return "numeric"
    if not np.isnan(_parse_dates(column.words, "")).any():
        return "date"
    return "category"


def convert(
    column: LoadedColumn, kind: Kind, *, date_format: str = ""
) -> tuple[Numbers, tuple[str, ...]]:
    """The cells as `kind` and, for a category, the words that they count through.

    `DataError` names the file, the row (from 0), the column and the first value that is not `kind`.
    """
    if kind == "category":
        return _as_categories(column)
    if column.words is None:
        return _from_numbers(column, kind), ()
    parsed = parse_words(column.words, kind, date_format=date_format)
    _check(column, ~np.isfinite(parsed), kind, date_format)
    known = ~np.isnan(column.cells)
    cells = np.full(len(column.cells), np.nan)
    cells[known] = parsed[column.cells[known].astype(np.int64)]
    return cells, ()


def parse_words(words: Sequence[str], kind: Kind, *, date_format: str = "") -> Numbers:
    """Texts as numbers, truth values (1 and 0) or dates (days since 1970-01-01); not finite where a
    text is none.
    """
    if kind == "numeric":
        return _parse_numbers(words)
    if kind == "date":
        return _parse_dates(words, date_format)
    return np.array([DECLARED_BOOLEANS.get(word.lower(), np.nan) for word in words])


def _from_numbers(column: LoadedColumn, kind: Kind) -> Numbers:
    if kind == "date" and column.stored_kind not in ("date", None):
        raise DataError(
            f"{column.path}: column {column.name!r} is declared a date, but is stored as "
            f"{column.stored_kind}; store it as a date or as text"
        )
    wrong = np.isinf(column.cells)
    if kind == "boolean":
        wrong = ~np.isin(column.cells, (0.0, 1.0)) & ~np.isnan(column.cells)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{column.path}, row {row}, column {column.name!r}: {column.cells[row]} is not "
            f"{_expected(kind, '')}"
        )
    return column.cells


def _as_categories(column: LoadedColumn) -> tuple[Numbers, tuple[str, ...]]:
    if column.words is not None:
        return column.cells, tuple(column.words)
    known = ~np.isnan(column.cells)
    values, places = np.unique(column.cells[known], return_inverse=True)
    cells = np.full(len(column.cells), np.nan)
    cells[known] = places
    if column.stored_kind == "boolean":
        return cells, tuple("true" if value else "false" for value in values)
    return cells, tuple(format_number(value) for value in values)


def format_number(value: float) -> str:
    """A number as text: 3 for 3.0, and as many digits as it needs otherwise."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _parse_numbers(words: Sequence[str]) -> Numbers:
    """NaN where a word is no number; infinite where it says so."""
    import pandas as pd

    parsed = pd.to_numeric(pd.Series(words, dtype=object), errors="coerce")
    return np.asarray(parsed, dtype=np.float64)


def _parse_dates(words: Sequence[str], date_format: str) -> Numbers:
    """Days since 1970-01-01 UTC; NaN where a word is no date."""
    import pandas as pd

    dates = pd.to_datetime(
        pd.Series(words, dtype=object), format=date_format or "ISO8601", errors="coerce", utc=True
    )
    days = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    return np.asarray(days, dtype=np.float64)


def _check(column: LoadedColumn, wrong_words: np.ndarray, kind: Kind, date_format: str) -> None:
    wrong = np.flatnonzero(wrong_words)
    if not len(wrong):
        return
    assert column.words is not None
    row = int(np.isin(column.cells, wrong).argmax())
    raise DataError(
        f"{column.path}, row {row}, column {column.name!r}: "
        f"{column.words[int(column.cells[row])]!r} is not {_expected(kind, date_format)}; correct "
        "the cell, add the text to TableFiles(missing=...) if it stands for a missing value, or "
        "declare another kind in TableFiles(columns=...)"
    )


def _expected(kind: Kind, date_format: str) -> str:
    return {
        "numeric": "a finite number",
        "boolean": "true or false (1/0, t/f, yes/no, y/n)",
        "date": f"a date as {date_format or 'ISO 8601 (2024-12-31)'}",
        "category": "a category",
    }[kind]
