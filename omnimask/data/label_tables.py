"""Labels from a CSV or Parquet file with a row per sample."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError, RecipeError, nearest_names
from omnimask.foundation.optional import needs
from omnimask.tokens.modality import Label


def read_table(path: Path) -> Any:
    """The table as a pandas DataFrame with text as names of columns; DataError for a file that
    cannot be read.
    """
    needs("pandas", "pyarrow", extra="tabular")
    import pandas as pd

    if not path.is_file():
        raise DataError(f"{path}: no such file; a table of labels is a path below data.root")
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise DataError(f"{path}: labels come from a .csv or a .parquet file")
    try:
        if path.suffix.lower() == ".csv":
            # As text: "007" is a name, and a class 1 must not become "1.0" beside an empty cell.
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        else:
            table = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be read as a table: {error}") from error
    return table.rename(columns=str)


def check_columns(path: Path, known: Sequence[str], asked: Mapping[str, Sequence[str]]) -> None:
    """RecipeError for a column that the table does not have; `asked`: columns by field."""
    for field, columns in asked.items():
        for column in columns:
            if column not in known:
                raise RecipeError(
                    f"{field}: {path} has no column {column!r}; {nearest_names(column, known)}"
                )


def cell(value: Any, *, text: bool, path: Path) -> Label:
    """A cell as text or as a number; None where it is empty, DataError where it is no number."""
    if value is None or value == "" or value != value:
        return None
    if text:
        return str(value)
    try:
        return float(value)
    except ValueError as error:
        raise DataError(
            f"{path}: expected a number as label, got {value!r}; where it is the name of a class, "
            "say so (task=Classification(), or classes= of a LabelTable)"
        ) from error


def row_of(rows: Mapping[str, Any], name: str) -> Any:
    """What a table says of a sample, which it may call with or without its suffix; else None."""
    return rows.get(name, rows.get(str(PurePosixPath(name).with_suffix(""))))


def label_columns(reader: StreamReader, indices: Sequence[int]) -> dict[str, list[Label]]:
    """The labels of some samples, by column: those of the stream's table, or else the files' own as
    "label" where one has it.

    DataError for a table that cannot be read or names none of the stream's samples.
    """
    table = reader.stream.labels
    if table is None:
        own = [reader.label(index) for index in indices]
        return {"label": own} if any(label is not None for label in own) else {}
    found: dict[str, list[Label]] = {}
    path = Path(reader.root, table.table)
    cells = read_table(path)
    fields = {"name_column": (table.name_column,)}
    fields |= {"classes": table.classes, "numbers": table.numbers}
    check_columns(path, list(cells), {f"labels.{k}": v for k, v in fields.items()})
    places = {str(name): place for place, name in enumerate(cells[table.name_column])}
    names = [reader.name(index) for index in indices]
    lines = [row_of(places, name) for name in names]
    if indices and all(line is None for line in lines):
        raise DataError(
            f"{path}: its column {table.name_column!r} names not one of {len(names)} samples of "
            f"stream {reader.stream.name}; a sample is called {names[0]!r}, the first row "
            f"{next(iter(places), None)!r}"
        )
    for text, asked in ((True, table.classes), (False, table.numbers)):
        for column in asked:
            column_cells = cells[column].tolist()
            found[column] = [
                None if line is None else cell(column_cells[line], text=text, path=path)
                for line in lines
            ]
    return found
