"""A CSV or Parquet file without gaps; every cell that is not missing stays as it is."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modalities.tabular.imputing.cell_style import CellStyle
from modalities.tabular.imputing.columns import Reading, reading_of
from modalities.tabular.imputing.draws import FilledCell, MaskDraws, table_modality
from modalities.tabular.readers.loading import DELIMITERS, PARQUET_SUFFIXES, SUFFIXES
from modalities.tabular.schema import Table
from omnimask.errors import DataError
from omnimask.model import MaskedModel

BATCH_ROWS = 512
_MOST_PROBLEMS = 1000  # that are remembered; all are counted


@dataclass(frozen=True, kw_only=True, slots=True)
class ImputeFile:
    """`path` is filled into `out`. `keep`: columns that the run never saw and that stay as they
    are. `delimiter`: None finds it in the first line. `encoding`: of CSV files.
    """

    path: Path
    out: Path
    draws: MaskDraws = field(default_factory=MaskDraws)
    keep: tuple[str, ...] = ()
    delimiter: str | None = None
    encoding: str = "utf-8"


@dataclass(kw_only=True, slots=True)
class Imputed:
    """What was done. `problems`: the first rows that could not be read as the table's, as (row
    from 1 below the header, reason); such a row, or such a cell of it, stays as it is.
    """

    out: Path
    uncertainty: Path
    table: str
    rows: int = 0
    filled: int = 0
    num_problems: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)

    def problem(self, row: int, reason: str) -> None:
        self.num_problems += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append((row, reason))


def impute_file(model: MaskedModel, job: ImputeFile) -> Imputed:
    """Fills `job.path` into `job.out`, and says how sure the model is in `<out>.uncertainty.csv`.

    That file has a line per filled cell: `row` (from 1 below the header), `column`, `value`,
    `spread` (the deviation of a number over the draws, in its own units, days for dates) and
    `share` (the share of the draws that gave this category or truth value).

    Only one batch of rows is in memory. DataError for a file that is no table, or whose columns
    the run never saw; RecipeError where the run restores no hidden cell.
    """
    from modalities.tabular.imputing.csv_file import impute_csv
    from modalities.tabular.imputing.parquet_file import impute_parquet

    suffix = job.path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{job.path} must end in one of {', '.join(SUFFIXES)}, got {suffix!r}")
    if not job.path.is_file():
        raise DataError(f"{job.path} does not exist")
    is_parquet = suffix in PARQUET_SUFFIXES
    if job.out.suffix.lower() not in (PARQUET_SUFFIXES if is_parquet else tuple(DELIMITERS)):
        raise DataError(f"{job.out}: the filled table has the format of {job.path}; write {suffix}")
    if job.out.exists() and job.out.samefile(job.path):
        raise DataError(f"{job.out} is the table itself; name another file, so that it stays")
    name, _ = table_modality(model)
    reading = reading_of(model.recipe, name)
    job.out.parent.mkdir(parents=True, exist_ok=True)
    return (impute_parquet if is_parquet else impute_csv)(model, job, reading)


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


def styles_of(table: Table, reading: Reading) -> dict[str, CellStyle]:
    return {
        column.name: CellStyle(
            column=column, date_format=reading.date_format(table.name, column.name)
        )
        for column in table.columns
    }
