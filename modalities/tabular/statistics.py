"""Statistics of training rows: mean and deviation of numbers, vocabularies of categories."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from modalities.tabular.schema import RARE, Cell, Column, Kind, Table
from omnimask.data.reading import read_sample
from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Sample, Source, Visit

# Rows are held in memory, so that many can be read; what rarely occurs is then in the vocabulary.
MOST_ROWS = 10_000


def measure_tables(source: Source, *, max_categories: int) -> tuple[Table, ...]:
    """The tables of a source, sorted by name, measured on at most `MOST_ROWS` rows of each file."""
    rows: dict[str, list[Sample]] = {}
    for index in _spread_over_files(source):
        sample = read_sample(source, index, Visit(key=0, augment=False))
        rows.setdefault(sample["table"], []).append(sample)
    return tuple(
        Table(name=name, columns=_measure_columns(rows[name], max_categories))
        for name in sorted(rows)
    )


def _spread_over_files(source: Source) -> list[int]:
    """Evenly spaced rows of every file, so that a small table beside a large one is not missed."""
    by_file: dict[str, list[int]] = {}
    for index in range(len(source)):
        by_file.setdefault(source.name(index).rpartition("#")[0], []).append(index)
    chosen: list[int] = []
    for indices in by_file.values():
        count = min(len(indices), MOST_ROWS)
        chosen += [indices[position * len(indices) // count] for position in range(count)]
    return chosen


def _measure_columns(samples: Sequence[Sample], max_categories: int) -> tuple[Column, ...]:
    kinds: Mapping[str, Kind] = samples[0]["kinds"]
    columns = []
    for name, kind in kinds.items():
        cells = [sample["cells"][name] for sample in samples]
        present = [cell for cell in cells if cell is not None]
        columns.append(_measure_column(name, kind, present, max_categories))
    return tuple(columns)


def _measure_column(name: str, kind: Kind, cells: Sequence[Cell], max_categories: int) -> Column:
    if kind == "boolean":
        return Column(name=name, kind=kind, categories=("false", "true"))
    if kind == "category":
        return Column(name=name, kind=kind, categories=_vocabulary(name, cells, max_categories))
    numbers = np.array(cells, dtype=np.float64)
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


def _vocabulary(name: str, cells: Sequence[Cell], max_categories: int) -> tuple[str, ...]:
    counts = Counter(str(cell) for cell in cells)
    reserved = {RARE} & set(counts)
    if reserved:
        raise DataError(f"column {name!r} has a category {RARE!r}, which is reserved; rename it")
    commonest = sorted(counts, key=lambda category: (-counts[category], category))
    if len(commonest) <= max_categories:
        return tuple(commonest)
    return (*commonest[:max_categories], RARE)
