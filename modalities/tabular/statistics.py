"""Statistics of training rows: mean and deviation of numbers, vocabularies of categories."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from modalities.tabular.readers.rows import FileRows, TableSource
from modalities.tabular.schema import RARE, Column, Kind, Table
from omnimask.data.measuring import innermost
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Source

Part = tuple[Float64[np.ndarray, " cells"], tuple[str, ...]]  # and the words that cells count in


def measure_tables(source: Source, *, max_categories: int) -> tuple[Table, ...]:
    """The tables of a source, sorted by name, measured on all rows, column by column."""
    opened = innermost(source)
    if not isinstance(opened, TableSource):
        raise RecipeError(
            f"tables are measured on rows of TableFiles, got a {type(opened).__name__}; use it"
        )
    by_table: dict[str, list[FileRows]] = {}
    for file in opened.files:
        by_table.setdefault(file.table, []).append(file)
    return tuple(
        Table(
            name=name,
            columns=tuple(
                _measure_column(column, kind, _cells(by_table[name], place), max_categories)
                for place, (column, kind) in enumerate(by_table[name][0].kinds.items())
            ),
        )
        for name in sorted(by_table)
    )


def _cells(files: Sequence[FileRows], place: int) -> list[Part]:
    """Of one column, those that are not missing."""
    parts = [(file.cells[file.rows, place], file.words[place]) for file in files]
    return [(cells[~np.isnan(cells)], words) for cells, words in parts]


def _measure_column(name: str, kind: Kind, parts: Sequence[Part], max_categories: int) -> Column:
    if kind == "boolean":
        return Column(name=name, kind=kind, categories=("false", "true"))
    if kind == "category":
        return Column(name=name, kind=kind, categories=_vocabulary(name, parts, max_categories))
    numbers = np.concatenate([cells for cells, _ in parts])
    if not len(numbers):
        return Column(name=name, kind=kind)
    largest = float(np.abs(numbers).max()) or 1.0
    shares = numbers / largest  # so that squares of huge numbers do not overflow
    return Column(
        name=name,
        kind=kind,
        mean=float(shares.mean() * largest),
        std=float(shares.std() * largest),
        low=float(numbers.min()),
        high=float(numbers.max()),
        whole=bool((numbers == np.round(numbers)).all()),
    )


def _vocabulary(name: str, parts: Sequence[Part], max_categories: int) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    for cells, words in parts:
        found = np.bincount(cells.astype(np.int64), minlength=len(words)).tolist()
        counts.update(dict(zip(words, found, strict=True)))
    counts = +counts  # without words that no row has
    reserved = {RARE} & set(counts)
    if reserved:
        raise DataError(f"column {name!r} has a category {RARE!r}, which is reserved; rename it")
    commonest = sorted(counts, key=lambda category: (-counts[category], category))
    if len(commonest) <= max_categories:
        return tuple(commonest)
    return (*commonest[:max_categories], RARE)
