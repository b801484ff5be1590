"""Single tables, whatever they are called and whatever columns they have besides."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modalities.tabular.files import TableFiles
from modalities.tabular.modality import TableCells
from modalities.tabular.readers.loading import DELIMITERS, PARQUET_SUFFIXES, SUFFIXES
from modalities.tabular.readers.rows import TableSource
from modalities.tabular.schema import Table
from omnimask.data.folders import FolderFiles
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs
from omnimask.tokens.modality import Sample, Source, Visit
from omnimask.transfer.modality_hooks import FileReader


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsOf:
    """The rows of one file as rows of the training table `table`."""

    rows: TableSource
    table: str

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int, /) -> str:
        return self.rows.name(index)

    def label(self, index: int, /) -> str | float | None:
        return self.rows.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        return {**self.rows.read(index, visit), "table": self.table}


def open_table(found: FolderFiles, files: TableFiles, modality: TableCells) -> Source:
    """The file's columns that the fitted `modality` knows, and its label column if it has one.

    Its table is the training table of its name, else the one with the most columns of those that
    the file has all of. DataError where there is none.
    """
    path = found.path(0)
    names = _column_names(path, files.delimiter)
    table = _table_of(path, names, modality.tables or ())
    label = files.label_column
    if label is not None and not isinstance(label, str):
        label = dict(label).get(table.name)
    known = {column.name for column in table.columns}
    extra = [name for name in names if name not in known and name != label]
    declared = [
        (name.removeprefix(f"{table.name}:"), kind)
        for name, kind in files.columns
        if name.removeprefix(f"{table.name}:") in known
    ]
    source = replace(
        files,
        path=str(path),
        label_column=label if label in names else None,
        columns=(*declared, *((name, "skip") for name in extra)),
    ).open("", replace(modality, tables=(replace(table, name=path.stem),)))
    return RowsOf(rows=source, table=table.name)


def _table_of(path: Path, names: Sequence[str], tables: Sequence[Table]) -> Table:
    for table in tables:
        if table.name == path.stem:
            return table
    whole = [t for t in tables if {column.name for column in t.columns} <= set(names)]
    if not whole:
        known = "; ".join(
            f"{t.name}: {', '.join(column.name for column in t.columns)}" for t in tables
        )
        raise DataError(
            f"{path}: has not all the columns of any training table; it has {', '.join(names)}, "
            f"expected those of {known}"
        )
    return max(whole, key=lambda table: len(table.columns))


def _column_names(path: Path, delimiter: str | None) -> list[str]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.suffix.lower() in PARQUET_SUFFIXES:
        needs("pyarrow", extra="tabular")
        import pyarrow
        import pyarrow.parquet

        try:
            return list(pyarrow.parquet.read_schema(path).names)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read as a Parquet table: {error}") from error
    mark = delimiter or DELIMITERS[path.suffix.lower()]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=mark), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error


FILE_READERS = {
    TableCells: FileReader(
        files=TableFiles,
        suffixes=lambda _: SUFFIXES,
        open=open_table,
        in_rows=True,
    ),
}
