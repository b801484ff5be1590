"""CSV files: the text itself is changed where a cell is missing, and nowhere else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from modalities.tabular.imputing.cell_style import CellStyle, styles_of
from modalities.tabular.imputing.columns import Reading, best_delimiter, check_columns, find_table
from modalities.tabular.imputing.csv_text import Record, content, quoted, read_records
from modalities.tabular.imputing.draws import FilledCell, Row, fill_gaps, table_modality
from modalities.tabular.imputing.job import Imputed, ImputeFile
from modalities.tabular.imputing.outputs import (
    BATCH_ROWS,
    UncertaintyFile,
    uncertainty_path,
    whole_or_nothing,
)
from modalities.tabular.modality import TableCells
from modalities.tabular.readers.kinds import parse_words
from modalities.tabular.readers.loading import DELIMITERS
from modalities.tabular.schema import Cell, Column, Table
from omnimask.foundation.errors import DataError
from omnimask.training.step import MaskedModel

_BOM = "\ufeff"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Csv:
    """One file as a table of the run; `places` are its columns' places in a line."""

    job: ImputeFile
    table: Table
    places: dict[str, int]
    num_cells: int
    delimiter: str
    missing: frozenset[str]
    styles: dict[str, CellStyle]

    def records(self) -> Iterator[Record]:
        """Without the header."""
        return islice(_records(self.job, self.delimiter), 1, None)

    def numbered(self) -> Iterator[tuple[int, Record]]:
        """Rows from 1; blank lines have the number of the row before them."""
        number = 0
        for record in self.records():
            number += not record.is_blank
            yield number, record

    def fits(self, record: Record) -> bool:
        return record.closed and len(record.cells) == self.num_cells


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """Rows as numbers and names. `gaps`: the columns of each that are missing in the file."""

    rows: list[Row]
    gaps: list[frozenset[str]]
    unreadable: list[tuple[int, str]]  # (place in the batch, reason)


def impute_csv(model: MaskedModel, job: ImputeFile, reading: Reading) -> Imputed:
    """See `impute_file`."""
    try:
        return _impute(model, job, reading)
    except (UnicodeDecodeError, LookupError) as error:
        raise DataError(
            f"{job.path} cannot be read as {job.encoding}: {error}; name its encoding, such as "
            "--encoding latin-1"
        ) from error


def _impute(model: MaskedModel, job: ImputeFile, reading: Reading) -> Imputed:
    _, modality = table_modality(model)
    file = _open(job, modality, reading)
    _learn(file)
    done = Imputed(out=job.out, uncertainty=uncertainty_path(job.out), table=file.table.name)
    with (
        whole_or_nothing(done.uncertainty) as unsure_path,
        whole_or_nothing(job.out) as out_path,
        out_path.open("w", encoding=job.encoding, newline="") as out,
        unsure_path.open("w", encoding="utf-8", newline="") as unsure_file,
    ):
        unsure = UncertaintyFile(unsure_file)
        out.write(next(_records(job, file.delimiter)).text(file.delimiter))
        for batch in _batches(file.numbered()):
            for text in _filled_texts(model, file, batch, done, unsure):
                out.write(text)
    return done


def _records(job: ImputeFile, delimiter: str) -> Iterator[Record]:
    with job.path.open(encoding=job.encoding, newline="") as lines:
        yield from read_records(lines, delimiter)


def _open(job: ImputeFile, modality: TableCells, reading: Reading) -> _Csv:
    declared = job.delimiter or reading.delimiter
    usual = DELIMITERS[job.path.suffix.lower()]
    marks = [declared] if declared else [usual, *(m for m in ",;\t|" if m != usual)]
    headers = {mark: _header(job, mark) for mark in marks}
    delimiter = best_delimiter(headers, modality)
    names = headers[delimiter]
    table = find_table(modality, names, job.path)
    check_columns(table, names, job.path, no_features=reading.no_features | set(job.keep))
    return _Csv(
        job=job,
        table=table,
        places={column.name: names.index(column.name) for column in table.columns},
        num_cells=len(names),
        delimiter=delimiter,
        missing=frozenset({*reading.missing, ""}),
        styles=styles_of(table, reading),
    )


def _header(job: ImputeFile, delimiter: str) -> list[str]:
    record = next(_records(job, delimiter), None)
    if record is None:
        raise DataError(f"{job.path} is empty; the first line must name the columns")
    first, *others = record.cells
    return [content(cell) for cell in (first.removeprefix(_BOM), *others)]


def _batches(
    numbered: Iterator[tuple[int, Record]],
) -> Iterator[list[tuple[int, Record]]]:
    while batch := list(islice(numbered, BATCH_ROWS)):
        yield batch


def _learn(file: _Csv) -> None:
    """One pass over the file for how it writes its cells."""
    for batch in _batches(file.numbered()):
        fitting = [record for _, record in batch if file.fits(record)]
        for column in file.table.columns:
            words = [content(record.cells[file.places[column.name]]) for record in fitting]
            file.styles[column.name].learn(
                word
                for word, value in zip(words, _values(file, column, words))
                if word not in file.missing and value is not None
            )


def _values(file: _Csv, column: Column, words: Sequence[str]) -> list[Cell | None]:
    """What the texts say; None where one is missing, or not of the column's kind."""
    if column.kind == "category":
        return [None if word in file.missing else word for word in words]
    date_format = file.styles[column.name].date_format
    distinct = list(dict.fromkeys(word for word in words if word not in file.missing))
    if not distinct:
        return [None] * len(words)
    parsed = parse_words(distinct, column.kind, date_format=date_format)
    known = {w: float(v) for w, v in zip(distinct, parsed) if np.isfinite(v)}
    if column.kind == "boolean":
        return [None if word not in known else bool(known[word]) for word in words]
    return [known.get(word) for word in words]


def _read(file: _Csv, records: Sequence[Record]) -> _Read:
    cells: list[dict[str, Cell | None]] = [{} for _ in records]
    gaps: list[set[str]] = [set() for _ in records]
    unreadable = []
    for column in file.table.columns:
        name = column.name
        words = [content(record.cells[file.places[name]]) for record in records]
        for i, (word, value) in enumerate(zip(words, _values(file, column, words))):
            cells[i][name] = value
            if word in file.missing:
                gaps[i].add(name)
            elif value is None:
                unreadable.append((i, f"column {name!r}: {word!r} is no {column.kind}; it stays"))
    return _Read(rows=list(cells), gaps=[frozenset(part) for part in gaps], unreadable=unreadable)


def _filled_texts(
    model: MaskedModel,
    file: _Csv,
    batch: Sequence[tuple[int, Record]],
    done: Imputed,
    unsure: UncertaintyFile,
) -> list[str]:
    """The batch's lines with their gaps filled; others word by word as they were."""
    texts = [record.text(file.delimiter) for _, record in batch]
    fitting = [i for i, (_, record) in enumerate(batch) if file.fits(record)]
    for number, record in batch:
        if not record.is_blank:
            done.rows += 1
            if not file.fits(record):
                done.problem(number, _misfit(file, record))
    read = _read(file, [batch[i][1] for i in fitting])
    numbers = [batch[i][0] for i in fitting]
    for place, reason in read.unreadable:
        done.problem(numbers[place], reason)
    filled = fill_gaps(model, file.table, read.rows, numbers=numbers, draws=file.job.draws)
    for i, number, gaps, cells in zip(fitting, numbers, read.gaps, filled, strict=True):
        if gaps:
            own = {name: cell for name, cell in cells.items() if name in gaps}
            texts[i] = _with_cells(file, batch[i][1], own)
            for name, cell in own.items():
                unsure.add(number, name, file.styles[name].write(cell.value), cell)
            done.filled += len(own)
    return texts


def _with_cells(file: _Csv, record: Record, filled: dict[str, FilledCell]) -> str:
    cells = list(record.cells)
    for name, cell in filled.items():
        place = file.places[name]
        text = file.styles[name].write(cell.value)
        cells[place] = quoted(text, file.delimiter, like=cells[place].strip())
    return Record(cells=tuple(cells), end=record.end).text(file.delimiter)


def _misfit(file: _Csv, record: Record) -> str:
    if not record.closed:
        return "a quote is never closed; the line stays as it is"
    return f"has {len(record.cells)} cells, the header {file.num_cells}; the line stays as it is"
