"""Arrays and DataFrames as cells of a table, and back with their gaps filled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float64

from modalities.tabular.encoding import MOST_DEVIATIONS
from modalities.tabular.schema import Column, Kind, Table
from omnimask.tokens.tokens import Raw

if TYPE_CHECKING:
    import pandas

TABLE = "table"


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameColumn:
    """One column: numbers (days since 1970 for dates), or places in `words`; NaN where missing.

    `words` are the column's distinct categories, in pandas their own type.
    """

    name: str
    kind: Kind
    cells: Float64[np.ndarray, " rows"]
    words: tuple[Any, ...] = ()


def array_columns(cells: np.ndarray) -> list[FrameColumn]:
    """The columns of an array of numbers."""
    return [
        FrameColumn(name=f"x{i}", kind="numeric", cells=column)
        for i, column in enumerate(cells.astype(np.float64).T)
    ]


def frame_columns(frame: "pandas.DataFrame") -> list[FrameColumn]:
    """Numbers, truth values, dates and, of any other type, categories."""
    return [_frame_column(f"x{i}", frame.iloc[:, i]) for i in range(frame.shape[1])]


def has_other_than_numbers(frame: "pandas.DataFrame") -> bool:
    return any(_kind(frame.iloc[:, i]) != "numeric" for i in range(frame.shape[1]))


def _kind(series: "pandas.Series") -> Kind:
    from pandas.api import types

    kind = series.dtype
    if types.is_bool_dtype(kind) and not isinstance(kind, _categorical()):
        return "boolean"
    if types.is_numeric_dtype(kind):
        return "numeric"
    return "date" if types.is_datetime64_any_dtype(kind) else "category"


def _categorical() -> Any:
    import pandas as pd

    return pd.CategoricalDtype


def _frame_column(name: str, series: "pandas.Series") -> FrameColumn:
    import pandas as pd

    kind, missing = _kind(series), series.isna().to_numpy()
    if kind == "category":
        codes, words = pd.factorize(series, sort=False)
        cells = np.where(codes < 0, np.nan, codes.astype(np.float64))
        return FrameColumn(name=name, kind=kind, cells=cells, words=tuple(words))
    if kind == "date":
        days = (pd.to_datetime(series, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
        return FrameColumn(name=name, kind=kind, cells=np.asarray(days, dtype=np.float64))
    cells = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return FrameColumn(name=name, kind=kind, cells=np.where(missing, np.nan, cells))


def measured(column: FrameColumn) -> tuple[Column, tuple[Any, ...]]:
    """The column as a run has it, and its words by their code, the first being code 1."""
    known = column.cells[~np.isnan(column.cells)]
    if column.kind in ("category", "boolean"):
        words = column.words if column.kind == "category" else (False, True)
        names = tuple(str(i) for i in range(len(words)))  # only their number counts
        return Column(name=column.name, kind="category", categories=names), words
    if not len(known):
        return Column(name=column.name, kind="numeric"), ()
    largest = float(np.abs(known).max()) or 1.0  # so that squares of huge numbers do not overflow
    shares = known / largest
    return Column(
        name=column.name,
        kind="numeric",
        mean=float(shares.mean() * largest),
        std=float(shares.std() * largest),
        low=float(known.min()),
        high=float(known.max()),
        whole=bool((known == np.round(known)).all()),
    ), ()


def encode_columns(
    columns: Sequence[FrameColumn], table: Table, words: Sequence[tuple[Any, ...]]
) -> Raw:
    """What `TableCells.collate` gives for the rows, made column by column; a word that the fitted
    columns do not have is a category not seen in training.
    """
    rows = len(columns[0].cells)
    size = (rows, len(columns))
    number, code = np.zeros(size), np.zeros(size, np.int64)
    present = np.stack([~np.isnan(column.cells) for column in columns], axis=1)
    for j, (column, known) in enumerate(zip(columns, table.columns, strict=True)):
        here = present[:, j]
        if known.is_number:
            number[here, j] = (column.cells[here] - known.mean) / known.scale
            continue
        codes = {word: place for place, word in enumerate(words[j], start=1)}
        own = column.words if column.kind == "category" else (False, True)
        places = np.array([codes.get(word, 0) for word in own], dtype=np.int64)
        code[here, j] = places[column.cells[here].astype(np.int64)]
    low = np.array([(c.low - c.mean) / c.scale if c.is_number else 0.0 for c in table.columns])
    high = np.array([(c.high - c.mean) / c.scale if c.is_number else 0.0 for c in table.columns])
    every = np.arange(len(columns))
    counts = np.array([len(column.categories) for column in table.columns])
    return {
        "column": torch.from_numpy(np.broadcast_to(every, size).copy()),
        "number": torch.from_numpy(number.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)).float(),
        "code": torch.from_numpy(code),
        "num_categories": torch.from_numpy(np.broadcast_to(counts, size).copy()),
        "low": torch.from_numpy(np.broadcast_to(low, size).copy()).float(),
        "high": torch.from_numpy(np.broadcast_to(high, size).copy()).float(),
        "present": torch.from_numpy(present),
        "num_present": tuple(present.sum(axis=1).tolist()),
        "table": (0,) * rows,
    }


def take_rows(raw: Raw, rows: np.ndarray) -> Raw:
    """Some rows of a table that `encode_columns` made."""
    ids = torch.from_numpy(rows)
    return {
        key: part[ids] if isinstance(part, torch.Tensor) else tuple(part[i] for i in rows)
        for key, part in raw.items()
    }


def fill_series(
    series: "pandas.Series", missing: Bool[np.ndarray, " rows"], values: np.ndarray, kind: Kind
) -> "pandas.Series":
    """The series with values in its gaps: days become dates, integer types take whole numbers."""
    import pandas as pd
    from pandas.api import types

    if not missing.any():
        return series
    filled = series.copy()
    new: Any = values
    if kind == "date":
        moments = pd.to_datetime(values.astype(np.float64), unit="D", utc=True).round("us")
        zone = getattr(series.dtype, "tz", None)
        new = moments.tz_convert(zone) if zone is not None else moments.tz_localize(None)
    elif kind == "numeric" and types.is_integer_dtype(series.dtype):
        new = np.round(values.astype(np.float64)).astype(np.int64)
    elif kind == "numeric" and types.is_float_dtype(series.dtype):
        new = values.astype(np.float64)
    filled[missing] = new
    return filled


def check_rows(columns: Sequence[FrameColumn]) -> None:
    """ValueError, as scikit-learn has it, where there is nothing to learn from."""
    if all(np.isnan(column.cells).all() for column in columns):
        raise ValueError("every cell is missing, so that there is nothing to learn from")
