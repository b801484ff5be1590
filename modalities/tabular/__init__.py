"""Tables: a token per cell of a row, from CSV and Parquet files."""

from typing import TYPE_CHECKING, Any

from modalities.tabular.files import TableFiles, available_readers
from modalities.tabular.imputing.cells import impute_cells, impute_rows
from modalities.tabular.imputing.draws import MaskDraws
from modalities.tabular.imputing.files import Imputed, ImputeFile, impute_file
from modalities.tabular.losses import cell_loss, scaled_cell_loss
from modalities.tabular.modality import TableCells
from modalities.tabular.readable_rows import cells_to_frames, cells_to_rows
from modalities.tabular.schema import Column, Table
from modalities.tabular.targets import Cells, ScaledCells

if TYPE_CHECKING:
    from modalities.tabular.sklearn_imputer import OmniMaskImputer

__all__ = [
    "Cells",
    "Column",
    "ImputeFile",
    "Imputed",
    "MaskDraws",
    "OmniMaskImputer",
    "ScaledCells",
    "Table",
    "TableCells",
    "TableFiles",
    "available_readers",
    "cell_loss",
    "cells_to_frames",
    "cells_to_rows",
    "impute_cells",
    "impute_file",
    "impute_rows",
    "scaled_cell_loss",
]


def __getattr__(name: str) -> Any:
    """The transformer is loaded when it is asked for: scikit-learn takes a second."""
    if name != "OmniMaskImputer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from modalities.tabular.sklearn_imputer import OmniMaskImputer

    return OmniMaskImputer
