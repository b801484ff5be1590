"""The files that are written: all of one or nothing of it, and the uncertainty beside a table."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modalities.tabular.imputing.draws import FilledCell

BATCH_ROWS = 512  # in memory at once


@contextmanager
def whole_or_nothing(path: Path) -> Iterator[Path]:
    """A place to write that becomes `path` when all went well."""
    partial = path.with_name(path.name + ".part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class UncertaintyFile:
    """The lines of `<out>.uncertainty.csv`."""

    HEADER = ("row", "column", "value", "spread", "share")

    def __init__(self, file: Any) -> None:
        self._writer = csv.writer(file)
        self._writer.writerow(self.HEADER)

    def add(self, row: int, column: str, written: str, cell: FilledCell) -> None:
        numbers = ("" if n is None else f"{n:.6g}" for n in (cell.spread, cell.share))
        self._writer.writerow([row, column, written, *numbers])


def uncertainty_path(out: Path) -> Path:
    return out.with_name(out.stem + ".uncertainty.csv")
