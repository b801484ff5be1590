"""Cells in the units of the file: numbers, names of categories, dates as text."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from torch import Tensor

from modalities.tabular.modality import TableCells
from modalities.tabular.schema import UNSEEN, Column
from omnimask.tokens import Raw

if TYPE_CHECKING:
    import pandas

Readable = float | int | str | bool | None
_EPOCH = datetime(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = ((day - _EPOCH).days for day in (datetime.min, datetime.max))


def cells_to_rows(
    modality: TableCells, raw: Raw, *, fill_missing: bool = False
) -> list[dict[str, Readable]]:
    """Each sample as {column: cell}, from `raw` as `collate` or `join` gave it.

    A missing cell is None; with `fill_missing` it is what its token values say, so that the `raw`
    of `join(target.restore(...), raw)` is the row with its gaps filled in. A number of a column
    that held whole numbers only is rounded. A date is ISO 8601 text; "<unseen>" stands for a
    category that training rows did not have.
    """
    assert modality.tables is not None
    assert isinstance(raw["table"], tuple)
    number, code, present = (_to_lists(raw[key]) for key in ("number", "code", "present"))
    rows = []
    for i, table in enumerate(raw["table"]):
        row = {}
        for j, column in enumerate(modality.tables[table].columns):
            known = fill_missing or present[i][j]
            row[column.name] = readable_cell(column, number[i][j], code[i][j]) if known else None
        rows.append(row)
    return rows


def cells_to_frames(
    modality: TableCells, raw: Raw, *, fill_missing: bool = False
) -> "Mapping[str, pandas.DataFrame]":
    """The rows of `cells_to_rows` as one pandas frame per table, by the table's name."""
    import pandas as pd

    assert modality.tables is not None
    assert isinstance(raw["table"], tuple)
    rows = cells_to_rows(modality, raw, fill_missing=fill_missing)
    return {
        table.name: pd.DataFrame(
            [row for row, number in zip(rows, raw["table"]) if number == place],
            columns=[column.name for column in table.columns],
        )
        for place, table in enumerate(modality.tables)
        if place in raw["table"]
    }


def readable_cell(column: Column, number: float, code: float | int) -> Readable:
    """One cell from its standardised number and the code of its category."""
    if not column.is_number:
        if round(code) < 1:
            return UNSEEN
        name = column.categories[round(code) - 1]
        return name == "true" if column.kind == "boolean" else name
    return readable_number(column, number * column.scale + column.mean, whole=column.whole)


def readable_number(column: Column, value: float, *, whole: bool) -> Readable:
    """A number as such, rounded if `whole`, and a date (in days since 1970-01-01) as its text."""
    if column.kind == "date":
        return _date(value, whole=whole)
    return round(value) if whole else value


def _date(days: float, *, whole: bool) -> str:
    """A predicted date may lie outside of the calendar's years 1 to 9999; it is clamped to them."""
    days = min(max(days, _FIRST_DAY), _LAST_DAY)
    if whole:
        return (_EPOCH + timedelta(days=round(days))).date().isoformat()
    return (_EPOCH + timedelta(seconds=round(days * 86_400))).isoformat(sep=" ")


def _to_lists(part: Tensor | tuple[int, ...]) -> list[list[float | int | bool]]:
    assert isinstance(part, Tensor)
    return part.tolist()
