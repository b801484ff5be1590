"""TableFiles: the rows of CSV and Parquet files below a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, get_args

from modalities.tabular.modality import TableCells
from modalities.tabular.readers.assembling import assemble
from modalities.tabular.readers.loading import SUFFIXES, LoadedColumn, load_columns
from modalities.tabular.readers.rows import FileRows, TableSource
from modalities.tabular.schema import KINDS, Column, Kind
from omnimask.data.reading import named_errors
from omnimask.foundation.errors import DataError, RecipeError, nearest_names

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFiles:
    """Files of the same stem are one table; the file's format is told by its suffix.

    `path`: a file or a folder below the root. `label_column`: the column that is the label of its
    row and never a feature, for all tables or as (table, column) pairs; the other tables then have
    no label. `label_kind`: "class" gives text, "number" a number; "auto" takes a numeric column
    with fractions or more than 20 distinct values for a number. `columns`: declared kinds as
    (column, kind) or ("table:column", kind) pairs; a kind is "numeric", "boolean", "category",
    "date", "date %d.%m.%Y" (the pattern of strptime) or "skip". `delimiter`: of CSV files; None is
    a comma, in a .tsv file a tab. `missing`: the texts that stand for a missing cell.
    `name_column`: the column that names its row and is never a feature, so that rows meet files of
    other modalities by name; rows of a table without it are called by their number.
    """

    path: str = "."
    label_column: str | tuple[tuple[str, str], ...] | None = None
    label_kind: Literal["auto", "class", "number"] = "auto"
    columns: tuple[tuple[str, str], ...] = ()
    delimiter: str | None = None
    missing: tuple[str, ...] = MISSING
    name_column: str | None = "sample_name"

    def __post_init__(self) -> None:
        for name, kind in self.columns:
            if kind not in (*KINDS, "skip") and not kind.startswith("date %"):
                raise RecipeError(
                    f"TableFiles.columns: the kind of {name!r} must be one of {', '.join(KINDS)}, "
                    f"skip, or a date pattern such as 'date %d.%m.%Y', got {kind!r}"
                )
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise RecipeError(
                f"TableFiles.delimiter must be one character or None, got {self.delimiter!r}"
            )

    def open(self, root: str, modality: TableCells, /) -> TableSource:
        """Reads all files into memory. A fitted `modality` decides which tables, columns and kinds
        there must be; otherwise kinds are declared or inferred.

        `DataError` names the file that is no table or differs from the others or from the record.
        """
        place = Path(root) / self.path
        base = place.parent if place.is_file() else place
        by_table: dict[str, list[Path]] = {}
        for path in _list_files(place):
            by_table.setdefault(path.stem, []).append(path)
        loaded = {table: [self._load(table, p) for p in paths] for table, paths in by_table.items()}
        self._check_declared({f"{t}:{c.name}" for t, files in loaded.items() for c in files[0]})
        fitted = {table.name: table.columns for table in modality.tables or ()}
        files: list[FileRows] = []
        for table, parts in loaded.items():
            if fitted and table not in fitted:
                raise DataError(
                    f"{parts[0][0].path}: table {table!r} was not among the training tables; "
                    f"{nearest_names(table, fitted)}"
                )
            declared = self._kinds(table, parts[0], fitted.get(table))
            with named_errors(", ".join(str(part[0].path) for part in parts)):
                files += assemble(
                    base,
                    table,
                    parts,
                    kinds=declared,
                    fitted=fitted.get(table),
                    label=self._label(table),
                    label_kind=self.label_kind,
                    name=self.name_column,
                )
        return TableSource(files, label_with_table=len(fitted or by_table) > 1)

    def _load(self, table: str, path: Path) -> list[LoadedColumn]:
        skip = [name.removeprefix(f"{table}:") for name, kind in self.columns if kind == "skip"]
        with named_errors(str(path)):
            return load_columns(path, delimiter=self.delimiter, missing=self.missing, skip=skip)

    def _label(self, table: str) -> str | None:
        if self.label_column is None or isinstance(self.label_column, str):
            return self.label_column
        return dict(self.label_column).get(table)

    def _kinds(
        self, table: str, columns: Sequence[LoadedColumn], fitted: Sequence[Column] | None
    ) -> dict[str, tuple[Kind, str]]:
        """Declared kinds and date patterns by column; those of the fitted record come first."""
        kinds: dict[str, tuple[Kind, str]] = {}
        declared = dict(self.columns)
        for column in columns:
            text = declared.get(f"{table}:{column.name}", declared.get(column.name))
            if text is not None:
                word, _, date_format = text.partition(" ")
                kinds[column.name] = _kind(word), date_format
        for known in fitted or ():
            kinds[known.name] = known.kind, kinds.get(known.name, ("", ""))[1]
        return kinds

    def _check_declared(self, found: set[str]) -> None:
        names = found | {name.partition(":")[2] for name in found}
        for name, kind in self.columns:
            if kind != "skip" and name not in names:
                raise RecipeError(
                    f"TableFiles.columns declares {name!r}, which no table has; "
                    f"{nearest_names(name, names)}"
                )


def _kind(word: str) -> Kind:
    return next(kind for kind in get_args(Kind) if kind == word)


def _list_files(path: Path) -> list[Path]:
    """The files to read, sorted; `DataError` naming the folder if there is none."""
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path} must end in one of {', '.join(SUFFIXES)}, got {path.suffix!r}")
        return [path]
    if not path.is_dir():
        raise DataError(
            f"{path} does not exist; TableFiles.path is a file or folder below the root"
        )
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{path} holds no table: no file ends in {', '.join(SUFFIXES)}")
    return files


def available_readers() -> dict[str, str]:
    """By format, what reads it here, or what is missing; for `omnimask doctor`."""
    state = ", ".join(f"{package} {_version(package)}" for package in ("pyarrow", "pandas"))
    return dict.fromkeys(SUFFIXES, state)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed (pip install 'omnimask[tabular]')"
