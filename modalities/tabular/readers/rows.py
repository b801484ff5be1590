"""TableSource: random access to the rows of all tables, which it holds as NumPy arrays."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from jaxtyping import Float64, Int64

from modalities.tabular.schema import Cell, Kind
from omnimask.tokens.modality import Sample, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRows:
    """One file. `cells` has a column per name in `kinds` and is NaN where a cell is missing; where
    `words` has texts for a column, a cell is a place in them. `rows` are the rows that have a cell,
    counted from 0 below the header.
    """

    name: str
    table: str
    kinds: dict[str, Kind]
    cells: Float64[np.ndarray, "rows columns"]
    words: tuple[tuple[str, ...], ...]
    rows: Int64[np.ndarray, " kept"]
    labels: tuple[str | float | None, ...]  # one per row of the file
    row_names: tuple[str, ...] | None = None  # likewise, where a column names them


class TableSource:
    """Rows in the order of the files. A sample is {"table": its name, "kinds": {column: kind},
    "cells": {column: number, text, bool or None where it is missing}}; a date is in days since
    1970-01-01.
    """

    def __init__(self, files: Sequence[FileRows], *, label_with_table: bool) -> None:
        self.files = tuple(files)
        self.label_with_table = label_with_table
        self.stops = list(accumulate(len(file.rows) for file in files))

    def __len__(self) -> int:
        return self.stops[-1]

    def name(self, index: int, /) -> str:
        file, row = self._find(index)
        return f"{file.name}#row {row}" if file.row_names is None else file.row_names[row]

    def label(self, index: int, /) -> str | float | None:
        """A class of one of several tables is "table: class", for classes of two tables differ."""
        file, row = self._find(index)
        label = file.labels[row]
        return f"{file.table}: {label}" if self.label_with_table and type(label) is str else label

    def read(self, index: int, visit: Visit, /) -> Sample:
        """There is no augmentation of a row; `visit` changes nothing."""
        file, row = self._find(index)
        cells = {}
        for (name, kind), value, words in zip(
            file.kinds.items(), file.cells[row].tolist(), file.words, strict=True
        ):
            cells[name] = _readable(value, kind, words)
        return {"table": file.table, "kinds": file.kinds, "cells": cells}

    def _find(self, index: int) -> tuple[FileRows, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        place = bisect_right(self.stops, index)
        file = self.files[place]
        return file, int(file.rows[index - (self.stops[place] - len(file.rows))])


def _readable(value: float, kind: Kind, words: tuple[str, ...]) -> Cell | None:
    if value != value:
        return None
    if kind == "category":
        return words[int(value)]
    return bool(value) if kind == "boolean" else value
