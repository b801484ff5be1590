from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from omnimask.data.label_tables import label_columns
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.records import from_json, to_json
from omnimask.recipe.settings import LabelTable
from tests.unit.toy_recipe import toy_recipe


def reader_with(labels: LabelTable | None, root: Path) -> StreamReader:
    recipe = toy_recipe()
    stream = replace(recipe.data.streams[0], labels=labels)
    recipe = replace(recipe, data=replace(recipe.data, root=str(root)))
    return StreamReader(stream, stream.files, recipe)


def written(root: Path, suffix: str) -> StreamReader:
    """A table of the first samples of a toy stream, without their suffix, in another order."""
    reader = reader_with(LabelTable(table=f"t{suffix}", classes=("kind",), numbers=("size",)), root)
    names = [str(Path(reader.name(i)).with_suffix("")) for i in (2, 0, 1)]
    table = pd.DataFrame({"name": names, "kind": ["c", "1", None], "size": [2.5, None, 1]})
    if suffix == ".csv":
        table.to_csv(root / "t.csv", index=False)
    else:
        table.to_parquet(root / "t.parquet")
    return reader


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_labels_are_found_by_name_and_an_empty_cell_is_none(tmp_path: Path, suffix: str):
    reader = written(tmp_path, suffix)
    found = label_columns(reader, [0, 1, 2, 3])
    assert found["kind"] == ["1", None, "c", None]
    assert found["size"] == [None, 1.0, 2.5, None]
    assert set(found) == {"kind", "size"}


def test_without_a_table_there_is_the_files_own_label(tmp_path: Path):
    reader = reader_with(None, tmp_path)
    assert label_columns(reader, [0, 1]) == {"label": [reader.label(0), reader.label(1)]}


def test_a_table_that_does_not_fit_is_refused(tmp_path: Path):
    reader = written(tmp_path, ".csv")
    with pytest.raises(DataError, match="names not one of 1 samples"):
        label_columns(reader, [5])
    missing = reader_with(LabelTable(table="none.csv", classes=("kind",)), tmp_path)
    with pytest.raises(DataError, match="no such file"):
        label_columns(missing, [0])
    misspelt = reader_with(LabelTable(table="t.csv", numbers=("siez",)), tmp_path)
    with pytest.raises(RecipeError, match=r"labels.numbers: .* no column 'siez'.* size"):
        label_columns(misspelt, [0])
    text = reader_with(LabelTable(table="t.csv", numbers=("kind",)), tmp_path)
    with pytest.raises(DataError, match="expected a number as label, got 'c'"):
        label_columns(text, [2])


@pytest.mark.parametrize("fields", [{}, {"classes": ("a",), "numbers": ("a",)}])
def test_columns_are_named_once(fields: dict):
    with pytest.raises(RecipeError, match="one column or more, each once"):
        LabelTable(table="t.csv", **fields)


def test_a_stream_with_labels_is_saved_and_read(tmp_path: Path):
    stream = reader_with(LabelTable(table="t.csv", classes=("kind",)), tmp_path).stream
    assert from_json(to_json(stream)) == stream
