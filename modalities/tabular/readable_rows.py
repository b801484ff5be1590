"""Collated rows in the units of the file, as dictionaries or pandas frames."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modalities.tabular.modality import TableCells
from modalities.tabular.readable import Readable, readable_cell
from omnimask.tokens.tokens import Raw, integers_of, tensor_of

if TYPE_CHECKING:
    import pandas


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
    number, code, present = (tensor_of(raw, key).tolist() for key in ("number", "code", "present"))
    rows = []
    for i, table in enumerate(integers_of(raw, "table")):
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
    places = integers_of(raw, "table")
    rows = cells_to_rows(modality, raw, fill_missing=fill_missing)
    return {
        table.name: pd.DataFrame(
            [row for row, number in zip(rows, places) if number == place],
            columns=[column.name for column in table.columns],
        )
        for place, table in enumerate(modality.tables)
        if place in places
    }
