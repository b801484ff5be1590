"""What tables say of themselves, and how they would be pretrained (ReMasker, 2309.13793)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modalities.tabular.files import MISSING, TableFiles
from modalities.tabular.losses import cell_loss
from modalities.tabular.modality import TableCells
from modalities.tabular.readers.loading import SUFFIXES, load_columns
from modalities.tabular.targets import Cells
from omnimask.inspection.inspector import Budget, Inspector, Look, Proposal
from omnimask.masking import RandomMask

_LABELS = ("label", "target", "class", "outcome")
_COLUMN = "label column"


def _look(path: Path) -> Look:
    columns = load_columns(path, delimiter=None, missing=MISSING, skip=())
    cells = np.stack([column.cells for column in columns])
    labels = [column.name for column in columns if column.name.lower() in _LABELS]
    return Look(
        facts={
            "rows": cells.shape[1],
            "columns": len(columns),
            "missing cells (%)": 100 * float(np.isnan(cells).mean()),
        },
        fit=0.5,  # recordings in tables, which other modalities know for sure, are theirs
        words={_COLUMN: labels[0]} if labels else {},
    )


def _propose(looks: Sequence[Look], budget: Budget) -> Proposal:
    return Proposal(
        modality=TableCells(),
        masker=RandomMask(ratio=0.5),
        content=(("cells", Cells(), cell_loss),),
        reasons=(
            "tables: a cell is a token; kinds, means and categories are measured on training rows",
            "half of the cells are hidden: ReMasker, 2309.13793",
        ),
    )


def _files(path: str, looks: Sequence[Look], modality: object) -> TableFiles:
    """A label column that all tables have is no feature."""
    names = {look.words.get(_COLUMN) for look in looks}
    return TableFiles(path=path, label_column=names.pop() if len(names) == 1 else None)


INSPECTOR = Inspector(name="table", suffixes=SUFFIXES, look=_look, propose=_propose, files=_files)
