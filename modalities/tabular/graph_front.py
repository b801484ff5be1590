"""An exported graph begins at the cells as they stand in the file; standardising is part of it."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from modalities.tabular.encoding import MOST_DEVIATIONS
from modalities.tabular.modality import TableCells
from modalities.tabular.schema import Column
from omnimask.tokens.modality import Modality, Sample
from omnimask.tokens.tokens import Raw
from omnimask.transfer.modality_hooks import Triple


class TableFront:
    """`cells` (b n) in double precision, in the order of the table's columns: a number in the
    file's units, a date in days since 1970-01-01, the place of a category in its column's
    `categories` counted from 1 (0: one that training rows did not have), NaN where a cell is
    missing or the table has no such column. Of several tables also `table` (b), the place in
    `tables`.
    """

    free_length = False

    def __init__(self, modality: Modality) -> None:
        assert isinstance(modality, TableCells), "GRAPH_FRONTS says so"
        self.modality = modality
        self.tables = modality.tables or ()

    def inputs(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        raw = self.reference(samples)
        codes, present, places = raw["code"], raw["present"], raw["table"]
        assert isinstance(codes, Tensor)
        assert isinstance(present, Tensor)
        cells = codes.double().masked_fill(~present, math.nan)
        for row, (sample, place) in enumerate(zip(samples, places, strict=True)):
            for i, column in enumerate(self.tables[int(place)].columns):
                cell = sample["cells"][column.name]
                if column.is_number and cell is not None:
                    cells[row, i] = float(cell)
        if len(self.tables) == 1:
            return {"cells": cells}
        return {"cells": cells, "table": torch.tensor([int(place) for place in places])}

    def reference(self, samples: Sequence[Sample]) -> Raw:
        return self.modality.collate(samples)

    def tokens(self, inputs: Mapping[str, Tensor]) -> Triple:
        cells = inputs["cells"]
        rows = inputs.get("table", torch.zeros_like(cells[:, 0], dtype=torch.int64))
        about = {name: part[rows] for name, part in self._columns().items()}
        present = ~cells.isnan() & about["there"]
        is_number = (about["num_categories"] == 0) & present
        filled = torch.where(present, cells, 0.0)
        standard = (filled - about["mean"]) / about["scale"]
        standard = standard.clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
        tokens = self.modality.split(
            {
                "column": about["id"],
                "number": torch.where(is_number, standard, 0.0).float(),
                "code": torch.where(is_number, 0.0, filled).long(),
                "num_categories": about["num_categories"],
                "low": about["low"].float(),
                "high": about["high"].float(),
                "present": present,
                "num_present": (),
                "table": (),
            }
        )
        return tokens.values, tokens.coords, tokens.valid

    def _columns(self) -> dict[str, Tensor]:
        """Of every table (row), facts about its columns, zero beyond the last."""
        width, first = self.modality.num_tokens, 0
        facts: dict[str, list[list[float]]] = {name: [] for name in _NONE}
        for table in self.tables:
            known = [_facts(column, first + i) for i, column in enumerate(table.columns)]
            known += [_NONE] * (width - len(known))
            for name, rows in facts.items():
                rows.append([of_column[name] for of_column in known])
            first += len(table.columns)
        tensors = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in facts.items()}
        whole = {name: tensors[name].long() for name in ("id", "num_categories")}
        return {**tensors, **whole, "there": tensors["there"] > 0}


def _facts(column: Column, number: int) -> dict[str, float]:
    """`number` counts the columns of all tables."""
    return {
        "there": 1.0,
        "id": float(number),
        "mean": column.mean,
        "scale": column.scale,
        "num_categories": float(len(column.categories)),
        "low": (column.low - column.mean) / column.scale,
        "high": (column.high - column.mean) / column.scale,
    }


_NO_COLUMN = dict.fromkeys(("there", "id", "mean", "num_categories", "low", "high"), 0.0)
_NONE = {**_NO_COLUMN, "scale": 1.0}

GRAPH_FRONTS = {TableCells: TableFront}
