"""Small CSV tables for the tests of `modalities.tabular`."""

from pathlib import Path

from modalities.tabular import (
    TableCells,
    TableFiles,
)
from omnimask.tokens.modality import Sample, Visit
from omnimask.tokens.tokens import Raw

FILES = TableFiles(label_column="target")


def write(folder: Path, text: str, name: str = "patients.csv") -> str:
    (folder / name).write_text(text)
    return str(folder)


def read_all(files: TableFiles, root: str, modality: TableCells) -> list[Sample]:
    source = files.open(root, modality)
    return [source.read(i, Visit(key=0)) for i in range(len(source))]


def fit_text(folder: Path, text: str, files: TableFiles | None = None) -> tuple[TableCells, Raw]:
    """The fitted record of one CSV file, and all of its rows."""
    files, root = files or TableFiles(), write(folder, text)
    modality = TableCells().fit(files.open(root, TableCells()))
    return modality, modality.collate(read_all(files, root, modality))


def kinds_of(modality: TableCells) -> dict[str, str]:
    return {column.name: column.kind for column in modality.columns}
