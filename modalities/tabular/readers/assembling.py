"""The files of one table, as rows: which columns there are, of which kind, and the labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from modalities.tabular.readers.kinds import convert, infer_kind
from modalities.tabular.readers.loading import LoadedColumn
from modalities.tabular.readers.rows import FileRows
from modalities.tabular.schema import Column, Kind
from omnimask.foundation.errors import DataError, nearest_names

MOST_CLASSES = 20  # a whole-numbered label with more distinct values is a number, not a class

LabelKind = Literal["auto", "class", "number"]
File = Sequence[LoadedColumn]


def assemble(
    base: Path,
    table: str,
    files: Sequence[File],
    *,
    kinds: Mapping[str, tuple[Kind, str]],
    fitted: Sequence[Column] | None,
    label: str | None,
    label_kind: LabelKind,
    name: str | None = None,
) -> list[FileRows]:
    """The rows of each file. `kinds`: declared kinds and date patterns; others are inferred.

    `DataError` names the file whose columns are not those of the first file or of `fitted`.
    """
    names = _feature_names(files[0], label, name)
    expected = [column.name for column in fitted] if fitted is not None else names
    for file in files:
        _check_columns(file, _feature_names(file, label, name), expected, fitted is not None)
    kind_of: dict[str, tuple[Kind, str]] = {}
    for column in expected:
        inferred = None if column in kinds else infer_kind([_get(file, column) for file in files])
        kind_of[column] = (inferred, "") if inferred else kinds[column]
    labels = _labels(files, label, label_kind)
    row_names = [_row_names(file, name) for file in files]
    return [
        _rows(base, table, *parts, kind_of) for parts in zip(files, labels, row_names, strict=True)
    ]


def _get(file: File, name: str) -> LoadedColumn:
    return next(column for column in file if column.name == name)


def _row_names(file: File, name: str | None) -> tuple[str, ...] | None:
    """None where the file has no such column."""
    column = next((column for column in file if column.name == name), None)
    if column is None:
        return None
    cells, words = convert(column, "category")
    if np.isnan(cells).any() or len(words) < len(cells):
        raise DataError(
            f"{column.path}: the column {name!r} names rows, but leaves {np.isnan(cells).sum()} "
            f"without a name and has {len(words)} names for {len(cells)} rows; give each row one "
            "of its own, or leave TableFiles.name_column out"
        )
    return tuple(words[int(cell)] for cell in cells.tolist())


def _feature_names(file: File, label: str | None, name: str | None) -> list[str]:
    names = [column.name for column in file]
    if label is not None and label not in names:
        raise DataError(
            f"{file[0].path} has no label column {label!r}; {nearest_names(label, names)}; where "
            "only some tables have one, write TableFiles(label_column=((table, column), ...))"
        )
    features = [column for column in names if column not in (label, name)]
    if not features:
        beside = " and ".join(repr(column) for column in (label, name) if column in names)
        raise DataError(f"{file[0].path} has no column beside {beside}, which is no feature")
    return features


def _check_columns(
    file: File, names: Sequence[str], expected: Sequence[str], is_fitted: bool
) -> None:
    missing = [name for name in expected if name not in names]
    extra = [name for name in names if name not in expected]
    if missing or extra:
        other = "the training table" if is_fitted else "the other files of this name"
        raise DataError(
            f"{file[0].path} has other columns than {other}: missing {missing}, extra {extra}; "
            "rename them, or leave some out with TableFiles(columns=((name, 'skip'),)) or as "
            "label_column"
        )


def _rows(
    base: Path,
    table: str,
    file: File,
    labels: tuple[str | float | None, ...],
    row_names: tuple[str, ...] | None,
    kind_of: Mapping[str, tuple[Kind, str]],
) -> FileRows:
    converted = [
        convert(_get(file, name), kind, date_format=date_format)
        for name, (kind, date_format) in kind_of.items()
    ]
    path = file[0].path
    cells = np.stack([column for column, _ in converted], axis=1)
    rows = np.flatnonzero(~np.isnan(cells).all(axis=1))
    if not len(rows):
        raise DataError(f"{path}: every cell of every row is missing; remove the file")
    return FileRows(
        name=path.relative_to(base).as_posix(),
        table=table,
        kinds={name: kind for name, (kind, _) in kind_of.items()},
        cells=cells,
        words=tuple(words for _, words in converted),
        rows=rows,
        labels=labels,
        row_names=row_names,
    )


def _labels(
    files: Sequence[File], label: str | None, label_kind: LabelKind
) -> list[tuple[str | float | None, ...]]:
    if label is None:
        return [(None,) * len(file[0].cells) for file in files]
    columns = [_get(file, label) for file in files]
    if label_kind == "number" or (label_kind == "auto" and infer_kind(columns) == "numeric"):
        numbers = [convert(column, "numeric")[0] for column in columns]
        if label_kind == "number" or _is_quantity(np.concatenate(numbers)):
            return [tuple(None if n != n else n for n in part.tolist()) for part in numbers]
    return [_classes(column) for column in columns]


def _is_quantity(numbers: np.ndarray) -> bool:
    known = numbers[~np.isnan(numbers)]
    return bool((known != np.round(known)).any() or len(np.unique(known)) > MOST_CLASSES)


def _classes(column: LoadedColumn) -> tuple[str | None, ...]:
    cells, words = convert(column, "category")
    return tuple(None if cell != cell else words[int(cell)] for cell in cells.tolist())
