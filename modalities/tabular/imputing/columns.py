"""Which table of a run a file is, and which of its columns are to be filled."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modalities.tabular.files import MISSING, TableFiles
from modalities.tabular.modality import TableCells
from modalities.tabular.schema import Table
from omnimask.foundation.errors import DataError, nearest_names
from omnimask.recipe.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How a run's own tables were read; skipped columns, labels and names are no features."""

    missing: tuple[str, ...] = MISSING
    delimiter: str | None = None
    no_features: frozenset[str] = frozenset()
    date_formats: tuple[tuple[str, str], ...] = ()

    def date_format(self, table: str, column: str) -> str:
        formats = dict(self.date_formats)
        return formats.get(f"{table}:{column}", formats.get(column, ""))


def reading_of(recipe: Recipe, modality: str) -> Reading:
    """As the first stream with the table reads it."""
    for stream in recipe.data.streams:
        files = stream.files.get(modality)
        if isinstance(files, TableFiles):
            return _reading(files)
    return Reading()


def _reading(files: TableFiles) -> Reading:
    label = files.label_column
    labels = [label] if isinstance(label, str) else [column for _, column in label or ()]
    skipped = [name.rpartition(":")[2] for name, kind in files.columns if kind == "skip"]
    formats = [(name, kind.partition(" ")[2]) for name, kind in files.columns]
    return Reading(
        missing=files.missing,
        delimiter=files.delimiter,
        no_features=frozenset([*labels, *skipped, *filter(None, [files.name_column])]),
        date_formats=tuple((name, text) for name, text in formats if text),
    )


def find_table(modality: TableCells, names: Sequence[str], path: Path) -> Table:
    """The run's table that shares most columns with a file; of equal ones that of the file's name.

    DataError naming the nearest columns where the run has seen none of them.
    """
    tables = modality.tables or ()
    shared = {t.name: len({c.name for c in t.columns} & set(names)) for t in tables}
    if not any(shared.values()):
        known = {column.name for column in modality.columns}
        raise DataError(
            f"{path}: the run has seen none of its columns {', '.join(map(repr, names))}; "
            + "; ".join(f"{name!r}: {nearest_names(name, known)}" for name in list(names)[:3])
        )
    return max(tables, key=lambda table: (shared[table.name], table.name == path.stem))


def check_columns(
    table: Table, names: Sequence[str], path: Path, *, no_features: Collection[str]
) -> None:
    """DataError where a column of the run is not in the file, or one of the file not in the run.

    `no_features`: columns that may be there and stay as they are.
    """
    _check_once(names, path)
    own = [column.name for column in table.columns]
    absent = [name for name in own if name not in names]
    unseen = [n for n in names if n.strip() and n not in own and n not in no_features]
    problems = _described(absent, set(names) - set(own), "lacks the run's column")
    problems += _described(unseen, absent or own, "has a column that the run never saw,")
    if problems:
        keep = f"; --keep {unseen[0]!r} leaves such a column as it is" if unseen else ""
        raise DataError(
            f"{path}: as the table {table.name!r} it {'; it '.join(problems)}. Rename columns{keep}"
        )


def _described(columns: Sequence[str], known: Collection[str], problem: str) -> list[str]:
    return [f"{problem} {name!r} ({nearest_names(name, known)})" for name in columns]


def _check_once(names: Sequence[str], path: Path) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1 and name.strip()})
    if twice:
        raise DataError(f"{path} has several columns named {', '.join(map(repr, twice))}; rename")


def best_delimiter(header: Mapping[str, Sequence[str]], modality: TableCells) -> str:
    """Of several ways to cut the first line, the one with most of the run's columns."""
    known = {column.name for column in modality.columns}
    return max(header, key=lambda delimiter: len(known & set(header[delimiter])))
