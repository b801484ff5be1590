"""Tables: a token per cell of a row, from CSV and Parquet files."""

from modalities.tabular.files import TableFiles, available_readers
from modalities.tabular.impute import impute_cells, impute_rows
from modalities.tabular.readable import cells_to_frames, cells_to_rows
from modalities.tabular.scaled import ScaledCells, scaled_cell_loss
from modalities.tabular.schema import Column, Table
from modalities.tabular.targets import Cells, cell_loss
from modalities.tabular.tokens import TableCells

__all__ = [
    "Cells",
    "Column",
    "ScaledCells",
    "Table",
    "TableCells",
    "TableFiles",
    "available_readers",
    "cell_loss",
    "cells_to_frames",
    "cells_to_rows",
    "impute_cells",
    "impute_rows",
    "scaled_cell_loss",
]
