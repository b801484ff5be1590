"""Rows to numbers, by the fitted record."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float64, Int64

from modalities.tabular.schema import RARE, Cell, Column, Table
from omnimask.foundation.errors import DataError, nearest_names
from omnimask.tokens.modality import Sample
from omnimask.tokens.tokens import Raw

# A held-out number may lie arbitrarily far out; this bound keeps it finite in half precision too.
MOST_DEVIATIONS = 1e4


def encode_rows(tables: tuple[Table, ...], samples: Sequence[Sample], *, width: int) -> Raw:
    """The raw form of rows, padded to `width` cells; `TableCells.collate` says what it holds.

    `DataError` if a sample's table or columns are not those of the fitted record.
    """
    size = (len(samples), width)
    column, code = np.zeros(size, np.int64), np.zeros(size, np.int64)
    num_categories, number = np.zeros(size, np.int64), np.zeros(size, np.float64)
    low, high = np.zeros(size, np.float32), np.zeros(size, np.float32)
    present = np.zeros(size, np.bool_)
    encoders, places = _encoders(tables), []
    for i, sample in enumerate(samples):
        encoder = _encoder_of(encoders, sample)
        last = len(encoder.columns)
        column[i, :last], num_categories[i, :last] = encoder.ids, encoder.num_categories
        low[i, :last], high[i, :last] = encoder.low, encoder.high
        for j, (known, codes) in enumerate(zip(encoder.columns, encoder.codes)):
            cell = sample["cells"][known.name]
            if cell is None:
                continue
            present[i, j] = True
            if codes is None:
                number[i, j] = _standardise(cell, known)
            else:
                word = cell if isinstance(cell, str) else ("true" if cell else "false")
                code[i, j] = codes.get(word, codes.get(RARE, 0))
        places.append(encoder.place)
    return {
        "column": torch.from_numpy(column),
        "number": torch.from_numpy(number.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)).float(),
        "code": torch.from_numpy(code),
        "num_categories": torch.from_numpy(num_categories),
        "low": torch.from_numpy(low),
        "high": torch.from_numpy(high),
        "present": torch.from_numpy(present),
        "num_present": tuple(present.sum(axis=1).tolist()),
        "table": tuple(places),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Encoder:
    """One table; `codes` has None for a column of numbers, `ids` count over all tables. `low` and
    `high` are standardised.
    """

    place: int
    columns: tuple[Column, ...]
    codes: tuple[dict[str, int] | None, ...]
    ids: Int64[np.ndarray, " columns"]
    num_categories: Int64[np.ndarray, " columns"]
    low: Float64[np.ndarray, " columns"]
    high: Float64[np.ndarray, " columns"]


@lru_cache(maxsize=16)
def _encoders(tables: tuple[Table, ...]) -> dict[str, _Encoder]:
    encoders: dict[str, _Encoder] = {}
    first = 0
    for place, table in enumerate(tables):
        encoders[table.name] = _Encoder(
            place=place,
            columns=table.columns,
            codes=tuple(_codes(column) for column in table.columns),
            ids=np.arange(first, first + len(table.columns), dtype=np.int64),
            num_categories=np.array([len(c.categories) for c in table.columns], dtype=np.int64),
            low=np.array([_standardise(c.low, c) for c in table.columns]),
            high=np.array([_standardise(c.high, c) for c in table.columns]),
        )
        first += len(table.columns)
    return encoders


def _codes(column: Column) -> dict[str, int] | None:
    if column.is_number:
        return None
    return {category: code for code, category in enumerate(column.categories, start=1)}


def _encoder_of(encoders: dict[str, _Encoder], sample: Sample) -> _Encoder:
    table, cells = sample["table"], sample["cells"]
    if table not in encoders:
        raise DataError(
            f"table {table!r} was not among the training tables; {nearest_names(table, encoders)}"
        )
    names = [column.name for column in encoders[table].columns]
    missing = [name for name in names if name not in cells]
    if missing or len(cells) != len(names):
        extra = [name for name in cells if name not in names]
        raise DataError(
            f"table {table!r} has other columns than the training table: missing {missing}, extra "
            f"{extra}; open the files with the fitted record, which then names the file"
        )
    return encoders[table]


def _standardise(cell: Cell, column: Column) -> float:
    if isinstance(cell, str):
        raise DataError(
            f"column {column.name!r} is {column.kind} in the fitted record, got the text {cell!r}; "
            "open the files with the fitted record, so that its kinds are used"
        )
    return (cell - column.mean) / column.scale
