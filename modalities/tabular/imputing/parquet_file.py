"""Parquet files: the same schema and the same observed values, without the gaps."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from modalities.tabular.imputing.cell_style import CellStyle, styles_of
from modalities.tabular.imputing.columns import Reading, check_columns, find_table
from modalities.tabular.imputing.draws import FilledCell, fill_gaps, table_modality
from modalities.tabular.imputing.job import Imputed, ImputeFile
from modalities.tabular.imputing.outputs import (
    BATCH_ROWS,
    UncertaintyFile,
    uncertainty_path,
    whole_or_nothing,
)
from modalities.tabular.readers.kinds import convert, parse_words
from modalities.tabular.readers.loading import LoadedColumn, load_column
from modalities.tabular.schema import Cell, Column, Table
from omnimask.foundation.errors import DataError
from omnimask.training.step import MaskedModel

if TYPE_CHECKING:
    import pyarrow


def impute_parquet(model: MaskedModel, job: ImputeFile, reading: Reading) -> Imputed:
    """See `impute_file`."""
    import pyarrow
    import pyarrow.parquet as pq

    _, modality = table_modality(model)
    try:
        with pq.ParquetFile(job.path) as file:
            names = file.schema_arrow.names
            table = find_table(modality, names, job.path)
            check_columns(table, names, job.path, no_features=reading.no_features | set(job.keep))
            return _fill(model, file, table, job, reading)
    except pyarrow.ArrowException as error:
        raise DataError(f"{job.path} cannot be read as a Parquet table: {error}") from error


def _fill(
    model: MaskedModel, file: Any, table: Table, job: ImputeFile, reading: Reading
) -> Imputed:
    import pyarrow.parquet as pq

    done = Imputed(out=job.out, uncertainty=uncertainty_path(job.out), table=table.name)
    styles = styles_of(table, reading)
    with (
        whole_or_nothing(done.uncertainty) as unsure_path,
        whole_or_nothing(job.out) as out_path,
        unsure_path.open("w", encoding="utf-8", newline="") as unsure_file,
        pq.ParquetWriter(out_path, file.schema_arrow) as writer,
    ):
        unsure = UncertaintyFile(unsure_file)
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            numbers = range(done.rows + 1, done.rows + 1 + batch.num_rows)
            rows, gaps = [{} for _ in numbers], {}
            for column in table.columns:
                loaded = _loaded(batch, column, job, reading)
                gaps[column.name] = np.isnan(loaded.cells)
                values, wrong = _values(loaded, column, styles[column.name].date_format)
                for row, value in zip(rows, values, strict=True):
                    row[column.name] = value
                for i in np.flatnonzero(wrong):
                    reason = f"column {column.name!r}: no {column.kind}; it stays"
                    done.problem(numbers[int(i)], reason)
            cells = fill_gaps(model, table, rows, numbers=numbers, draws=job.draws)
            writer.write_batch(_filled_batch(batch, table, gaps, cells))
            _say(unsure, numbers, gaps, cells, styles)
            done.rows += len(rows)
            done.filled += int(sum(part.sum() for part in gaps.values()))
    return done


def _loaded(
    batch: "pyarrow.RecordBatch", column: Column, job: ImputeFile, reading: Reading
) -> LoadedColumn:
    import pyarrow

    chunked = pyarrow.chunked_array([batch.column(column.name)])
    return load_column(job.path, column.name, chunked, (*reading.missing, ""))


def _values(
    loaded: LoadedColumn, column: Column, date_format: str
) -> tuple[list[Cell | None], np.ndarray]:
    """What the cells say, None where one is missing or unreadable, and which are unreadable."""
    if column.kind == "category":
        numbers, words = convert(loaded, "category")
        return [None if n != n else words[int(n)] for n in numbers.tolist()], np.zeros(0)
    known = ~np.isnan(loaded.cells)
    numbers = loaded.cells.copy()
    if loaded.words is not None:
        parsed = parse_words(loaded.words, column.kind, date_format=date_format)
        numbers[known] = parsed[loaded.cells[known].astype(np.int64)]
    wrong = known & ~np.isfinite(numbers)
    usable = [n if ok else None for n, ok in zip(numbers.tolist(), (known & ~wrong).tolist())]
    if column.kind == "boolean":
        return [None if n is None else bool(n) for n in usable], wrong
    return list(usable), wrong


def _filled_batch(
    batch: "pyarrow.RecordBatch",
    table: Table,
    gaps: dict[str, np.ndarray],
    cells: Sequence[dict[str, FilledCell]],
) -> "pyarrow.RecordBatch":
    for column in table.columns:
        missing = gaps[column.name]
        if missing.any():
            place = batch.schema.get_field_index(column.name)
            values = [cells[i][column.name].value for i in np.flatnonzero(missing).tolist()]
            field = batch.schema.field(place)
            batch = batch.set_column(
                place, field, _replaced(batch.column(place), missing, column, values)
            )
    return batch


def _replaced(
    array: "pyarrow.Array", missing: np.ndarray, column: Column, values: Sequence[Cell]
) -> "pyarrow.Array":
    """The array with new values where cells are missing, in its own type."""
    import pyarrow
    import pyarrow.compute as pc
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind):
        plain = _replaced(array.cast(kind.value_type), missing, column, values)
        return plain.dictionary_encode().cast(kind)
    new = pyarrow.array([_stored(kind, column, value) for value in values])
    # Rounded where the file has whole numbers only, cut where it has fewer digits than ours.
    new = new.cast(kind, safe=False)
    return pc.replace_with_mask(array, pyarrow.array(missing), new)  # pyright: ignore[reportAttributeAccessIssue] pyarrow.compute makes its functions at import


def _stored(kind: Any, column: Column, value: Cell) -> Any:
    """The value as a Python object that Arrow can cast to the column's type."""
    from pyarrow import types

    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if column.kind == "date":
        assert not isinstance(value, str)
        if is_text:
            return CellStyle(column=column).write(value)
        return datetime(1970, 1, 1) + timedelta(days=round(value) if column.whole else value)
    if column.kind == "category":
        return value
    if types.is_boolean(kind):
        return bool(value)
    if types.is_integer(kind):
        return round(float(value))
    return CellStyle(column=column).write(value) if is_text else float(value)


def _say(
    unsure: UncertaintyFile,
    numbers: Sequence[int],
    gaps: dict[str, np.ndarray],
    cells: Sequence[dict[str, FilledCell]],
    styles: dict[str, CellStyle],
) -> None:
    for i, number in enumerate(numbers):
        for name, missing in gaps.items():
            if missing[i]:
                unsure.add(number, name, styles[name].write(cells[i][name].value), cells[i][name])
