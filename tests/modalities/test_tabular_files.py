"""Reading tables: kinds of columns, labels, and what a bad file is answered."""

from dataclasses import replace
from pathlib import Path

import pytest

from modalities.tabular import (
    TableCells,
    TableFiles,
    available_readers,
    cells_to_rows,
)
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Visit
from tests.modalities.case_tabular import BAD_FILES, PATIENTS
from tests.modalities.tabular_tables import FILES, fit_text, kinds_of, write

# Kinds


def test_kinds_are_inferred(tmp_path: Path) -> None:
    modality, _ = fit_text(tmp_path, PATIENTS, FILES)
    assert kinds_of(modality) == {
        "age": "numeric",
        "weight_kg": "numeric",
        "ward": "category",
        "smoker": "boolean",
        "admitted": "date",
        "clinic": "category",
    }


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ("0 1 0 1", "numeric"),
        ("true FALSE Yes no", "boolean"),
        ("1e-3 +2 -.5 7", "numeric"),
        ("2024-01-01 2024-01-02T10:30 2024-01-03", "date"),
        ("2024-01-01 2024-13-02", "category"),
        ("1 2 x", "category"),
        ("true 3", "category"),
        ("NA ? null", "numeric"),
    ],
)
def test_kind_of_a_column(tmp_path: Path, cells: str, kind: str) -> None:
    text = "a,b\n" + "".join(f"1,{cell}\n" for cell in cells.split())
    assert kinds_of(fit_text(tmp_path, text)[0])["b"] == kind


def test_kinds_are_declared_also_for_one_table_and_with_a_date_pattern(tmp_path: Path) -> None:
    files = TableFiles(
        columns=(("code", "category"), ("born", "date %d.%m.%Y"), ("patients:id", "skip"))
    )
    modality, raw = fit_text(tmp_path, "id,code,born\n7,1,31.12.1999\n8,2,01.01.2000\n", files)
    assert kinds_of(modality) == {"code": "category", "born": "date"}
    assert cells_to_rows(modality, raw)[0] == {"code": "1", "born": "1999-12-31"}


def test_declared_kinds_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="must be one of numeric, boolean"):
        TableFiles(columns=(("age", "number"),))
    root = write(tmp_path, PATIENTS)
    with pytest.raises(RecipeError, match="did you mean age"):
        TableFiles(columns=(("agee", "numeric"),)).open(root, TableCells())


def test_parquet_says_what_its_columns_are(tmp_path: Path) -> None:
    import datetime as dt

    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "when": [dt.datetime(2024, 1, 2, 12), None],
        "day": [dt.date(2024, 1, 2), dt.date(2024, 1, 3)],
        "digits": ["1", "2"],
        "flag": [True, None],
        "count": pa.array([3, None], pa.int32()),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    source = TableFiles().open(str(tmp_path), TableCells())
    first, second = (source.read(i, Visit(key=0)) for i in range(2))
    assert first["kinds"] == {
        "when": "date",
        "day": "date",
        "digits": "category",
        "flag": "boolean",
        "count": "numeric",
    }
    days = (dt.date(2024, 1, 2) - dt.date(1970, 1, 1)).days
    cells = {"when": days + 0.5, "day": days, "digits": "1", "flag": True, "count": 3.0}
    assert first["cells"] == cells
    assert [second["cells"][name] for name in ("when", "flag", "count")] == [None, None, None]


def test_files_of_one_stem_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    write(tmp_path, "a,b\n1,x\n")
    write(tmp_path / "more", "b,a\ny,2\n")
    source = TableFiles().open(str(tmp_path), TableCells())
    assert [source.name(i) for i in range(2)] == ["more/patients.csv#row 0", "patients.csv#row 0"]
    assert source.read(0, Visit(key=0))["cells"] == {"b": "y", "a": 2.0}
    assert source.read(1, Visit(key=0))["cells"] == {"b": "x", "a": 1.0}


# Labels


def test_the_label_is_never_a_feature(tmp_path: Path) -> None:
    modality, _ = fit_text(tmp_path, PATIENTS, FILES)
    source = FILES.open(str(tmp_path), modality)
    assert "target" not in kinds_of(modality)
    assert [source.label(i) for i in range(3)] == ["ill", "well", "well"]


def test_labels_of_several_tables(tmp_path: Path) -> None:
    write(tmp_path, "a,y\n1,0\n2,1\n3,\n", "one.csv")
    write(tmp_path, "a,z\n1,0.5\n2,7\n", "two.csv")
    write(tmp_path, "a\n1\n", "three.csv")
    files = TableFiles(label_column=(("one", "y"), ("two", "z")))
    source = files.open(str(tmp_path), TableCells())
    labels = {source.name(i): source.label(i) for i in range(len(source))}
    assert labels == {
        "one.csv#row 0": "one: 0",
        "one.csv#row 1": "one: 1",
        "one.csv#row 2": None,
        "three.csv#row 0": None,
        "two.csv#row 0": 0.5,
        "two.csv#row 1": 7.0,
    }
    number = replace(files, label_kind="number").open(str(tmp_path), TableCells())
    assert number.label(1) == 1.0


# Names


def test_a_column_may_name_its_rows(tmp_path: Path) -> None:
    write(tmp_path, "a,called\n1,ball/one\n2,ball/two\n", "named.csv")
    write(tmp_path, "a\n3\n", "others.csv")
    source = TableFiles(name_column="called").open(str(tmp_path), TableCells())
    names = [source.name(i) for i in range(3)]
    assert names == ["ball/one", "ball/two", "others.csv#row 0"]
    assert source.read(1, Visit(key=0))["cells"] == {"a": 2.0}
    for rows in ("1,one\n2,one\n", "1,one\n2,\n"):
        write(tmp_path, "a,called\n" + rows, "named.csv")
        with pytest.raises(DataError, match=r"names rows.*each row one of its own"):
            TableFiles(name_column="called").open(str(tmp_path), TableCells())


# Messages


@pytest.mark.parametrize(
    ("what", "parts"),
    [
        ("text in a numeric column", ["row 2", "'weight_kg'", "'heavy'", "finite number"]),
        ("no date", ["row 2", "'admitted'", "'2023-13-30'", "ISO 8601"]),
        ("no truth value", ["row 0", "'smoker'", "'often'"]),
        ("line too short", ["Expected 7 columns, got 6"]),
        ("duplicate column", ["several columns named 'age'"]),
        ("column renamed", ["missing ['weight_kg']", "extra ['weight']"]),
        ("no label column", ["no label column 'target'", "did you mean"]),
        ("semicolons", ["delimiter=';'"]),
        ("unknown table", ["'pets'", "did you mean patients"]),
        ("header only", ["no rows"]),
    ],
)
def test_the_message_says_what_and_where(tmp_path: Path, what: str, parts: list[str]) -> None:
    modality, _ = fit_text(tmp_path, PATIENTS, FILES)
    bad = tmp_path / "bad"
    bad.mkdir()
    path = BAD_FILES[what](bad)
    with pytest.raises(DataError) as caught:
        FILES.open(str(bad), modality)
    assert all(part in str(caught.value) for part in [str(path), *parts]), str(caught.value)


def test_available_readers() -> None:
    readers = available_readers()
    assert set(readers) == {".csv", ".tsv", ".parquet", ".pq"}
    assert "pyarrow" in readers[".csv"]
