"""Files come back byte for byte but for their gaps, which hold values of the right kind."""

import csv
import io
from pathlib import Path

import pytest

from modalities.tabular import ImputeFile, MaskDraws, impute_file
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.training.fitting import fit
from omnimask.training.step import MaskedModel, build_model
from tests.modalities.case_tabular import PATIENTS, write_cities, write_patients
from tests.modalities.test_tabular_impute import recipe_of

DRAWS = MaskDraws(number=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> MaskedModel:
    folder = tmp_path_factory.mktemp("patients")
    write_patients(folder, PATIENTS)
    write_cities(folder)
    return build_model(fit(recipe_of(folder)))


def impute(model: MaskedModel, folder: Path, text: str | bytes, **options) -> bytes:
    path = folder / "patients.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    impute_file(model, ImputeFile(path=path, out=folder / "out.csv", draws=DRAWS, **options))
    return (folder / "out.csv").read_bytes()


def cells_of(data: bytes, **options) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), **options))


ODD = (
    b'\xef\xbb\xbfclinic,"age",weight_kg,ward,smoker,admitted,target\r\n'
    b'"A", 34 ,70.50,"north",YES,2024-01-05,"ill, very"\r\n'
    b'A,51,,"so""uth",NO,2024-02-11,well\n'
    b'A,NA,+5.825e1,,,2023-12-30,"two\r\nlines"\r\n'
    b'A,63,81.0,east,"?",,ill\r\n'
    b"\r\n"
    b'A,"",77.5,"south",NO,2024-02-20,'
)


def test_only_missing_cells_change_whatever_the_quotes_and_line_ends(model, tmp_path: Path):
    data = impute(model, tmp_path, ODD)
    before, after = cells_of(ODD), cells_of(data)
    gaps = {"", "NA", "?"}
    changed = 0
    for old, new in zip(before, after, strict=True):
        for place, (was, becomes) in enumerate(zip(old, new, strict=True)):
            if was in gaps and place < 6 and len(old) > 1:
                assert becomes not in gaps
                changed += 1
            else:
                assert becomes == was
    assert changed == 7
    # Putting the gaps back gives the file, byte for byte.
    pieces = [b"A,51,", b',"so""uth",NO,2024-02-11,well\n', b'A,63,81.0,east,"']
    assert all(piece in data for piece in pieces)
    assert data.startswith(ODD[: ODD.index(b"A,51,")])
    assert b',"two\r\nlines"\r\n' in data
    assert data.endswith(b',77.5,"south",NO,2024-02-20,')


def test_a_file_without_gaps_is_the_same_bytes(model, tmp_path: Path):
    whole = ODD[: ODD.index(b"A,51,")]
    assert impute(model, tmp_path, whole) == whole


def test_values_have_the_kind_and_range_of_their_column(model, tmp_path: Path):
    rows = cells_of(impute(model, tmp_path, PATIENTS))[1:]
    names = PATIENTS.splitlines()[0].split(",")
    filled = [dict(zip(names, row)) for row in rows]
    assert all(int(row["age"]) in range(29, 64) for row in filled)
    assert all(58.25 <= float(row["weight_kg"]) <= 81.0 for row in filled)
    assert all(len(row["weight_kg"].partition(".")[2]) <= 2 for row in filled)
    assert {row["ward"] for row in filled} <= {"north", "south", "east"}
    assert {row["smoker"] for row in filled} <= {"yes", "no"}
    assert "2023-12-30" <= filled[3]["admitted"] <= "2024-03-01"


def test_booleans_are_written_as_the_file_writes_them(model, tmp_path: Path):
    for yes, no in (("T", "F"), ("1", "0"), ("True", "False"), ("Y", "N")):
        text = PATIENTS.replace("yes", yes).replace(",no,", f",{no},")
        rows = cells_of(impute(model, tmp_path, text))
        assert rows[5][3] in (yes, no)
    only_no = PATIENTS.replace(",yes,", ",No,").replace(",no,", ",No,")
    assert cells_of(impute(model, tmp_path, only_no))[5][3] in ("Yes", "No")


def test_whole_numbers_stay_whole_and_look_like_the_others(model, tmp_path: Path):
    text = PATIENTS.replace("34,", "34.0,").replace("47,", "47.0,")
    age = cells_of(impute(model, tmp_path, text))[5][0]
    assert age.endswith(".0")


def test_the_side_file_says_how_sure_the_model_is(model, tmp_path: Path):
    data = cells_of(impute(model, tmp_path, PATIENTS))
    lines = list(csv.DictReader((tmp_path / "out.uncertainty.csv").read_text().splitlines()))
    names = data[0]
    assert [(line["row"], line["column"]) for line in lines] == [
        ("2", "weight_kg"),
        ("4", "admitted"),
        ("5", "age"),
        ("5", "weight_kg"),
        ("5", "ward"),
        ("5", "smoker"),
    ]
    for line in lines:
        assert line["value"] == data[int(line["row"])][names.index(line["column"])]
        if line["column"] in ("ward", "smoker"):
            assert float(line["share"]) in (0.0, 0.25, 0.5, 0.75, 1.0)
            assert line["spread"] == ""
        else:
            assert float(line["spread"]) >= 0.0
            assert line["share"] == ""
    assert float(lines[0]["spread"]) > 0.0  # six observed cells, some hidden in each draw


def test_the_result_is_the_same_again_and_draws_follow_the_seed(model, tmp_path: Path):
    def side(seed: int) -> tuple[bytes, str]:
        path = write_patients(tmp_path, PATIENTS)
        draws = MaskDraws(number=4, seed=seed)
        impute_file(model, ImputeFile(path=path, out=tmp_path / "out.csv", draws=draws))
        side_text = (tmp_path / "out.uncertainty.csv").read_text()
        return (tmp_path / "out.csv").read_bytes(), side_text

    first, again, other = side(0), side(0), side(1)
    assert first == again
    assert first[0] == other[0]
    assert first[1] != other[1]


def test_batches_do_not_matter(model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = impute(model, tmp_path, PATIENTS), (tmp_path / "out.uncertainty.csv").read_text()
    monkeypatch.setattr("modalities.tabular.imputing.csv_file.BATCH_ROWS", 2)
    parts = impute(model, tmp_path, PATIENTS), (tmp_path / "out.uncertainty.csv").read_text()
    assert whole[0] == parts[0]
    assert [line.split(",")[:3] for line in whole[1].splitlines()] == [
        line.split(",")[:3] for line in parts[1].splitlines()
    ]


def test_one_bad_row_does_not_lose_the_file(model, tmp_path: Path):
    lines = PATIENTS.splitlines(keepends=True)
    text = "".join([*lines[:2], "too,short\n", '"never closed,1,2\n', *lines[2:]])
    text = text.replace("29,58.25", "29,heavy")
    path = write_patients(tmp_path, text)
    done = impute_file(model, ImputeFile(path=path, out=tmp_path / "out.csv", draws=DRAWS))
    assert [(row, reason.split(";")[0]) for row, reason in done.problems] == [
        (2, "has 2 cells, the header 7"),
        (3, "a quote is never closed"),
        (5, "column 'weight_kg': 'heavy' is no numeric"),
    ]
    written = (tmp_path / "out.csv").read_text()
    assert 'too,short\n"never closed,1,2\n' in written
    assert "29,heavy,north,no,2023-12-30,A,well\n" in written
    assert (done.rows, done.filled) == (8, 6)


def test_other_delimiters_are_found_in_the_first_line(model, tmp_path: Path):
    text = PATIENTS.replace(",", ";")
    data = impute(model, tmp_path, text)
    assert cells_of(data, delimiter=";")[1] == cells_of(text.encode(), delimiter=";")[1]
    assert "" not in cells_of(data, delimiter=";")[2]


def test_other_encodings_are_named(model, tmp_path: Path):
    text = PATIENTS.replace("east", "öst").encode("latin-1")
    with pytest.raises(DataError, match=r"cannot be read as utf-8.*--encoding latin-1"):
        impute(model, tmp_path, text)
    data = impute(model, tmp_path, text, encoding="latin-1")
    assert "63,81.0,öst,".encode("latin-1") in data
    assert not list(tmp_path.glob("*.part"))


def test_columns_that_the_run_never_saw_are_named_with_their_nearest(model, tmp_path: Path):
    with pytest.raises(DataError, match=r"'weight' \(did you mean weight_kg\?\)"):
        impute(model, tmp_path, PATIENTS.replace("weight_kg", "weight"))
    with pytest.raises(DataError, match=r"none of its columns 'colour', 'ages'.*did you mean age"):
        impute(model, tmp_path, "colour,ages\nred,1\n")
    more = "\n".join(line + ",x" for line in PATIENTS.splitlines()).replace("target,x", "target,n")
    with pytest.raises(DataError, match=r"never saw, 'n'.*--keep 'n'"):
        impute(model, tmp_path, more)
    kept = impute(model, tmp_path, more, keep=("n",))
    assert all(row[-1] in ("n", "x") for row in cells_of(kept))


def test_a_row_without_any_cell_gets_what_is_usual(model, tmp_path: Path):
    rows = cells_of(impute(model, tmp_path, PATIENTS + ",,,,,,ill\n"))
    assert rows[7] == ["45", "71.81", "north", "no", "2024-02-01", "A", "ill"]


def test_the_table_itself_is_never_overwritten(model, tmp_path: Path):
    path = write_patients(tmp_path, PATIENTS)
    with pytest.raises(DataError, match="is the table itself"):
        impute_file(model, ImputeFile(path=path, out=path))
    with pytest.raises(DataError, match=r"write \.csv"):
        impute_file(model, ImputeFile(path=path, out=tmp_path / "out.parquet"))
    with pytest.raises(RecipeError, match="draws must be"):
        MaskDraws(number=-1)


def test_parquet_keeps_its_schema_and_its_values(model, tmp_path: Path):
    import pyarrow.parquet as pq

    path = write_cities(tmp_path)
    done = impute_file(model, ImputeFile(path=path, out=tmp_path / "out.parquet", draws=DRAWS))
    before, after = pq.read_table(path), pq.read_table(done.out)
    assert before.schema == after.schema
    for name in before.column_names:
        for old, new in zip(before[name].to_pylist(), after[name].to_pylist(), strict=True):
            assert new is not None
            assert old is None or old == new
    assert 540_000 <= after["population"][2].as_py() <= 8_900_000
    assert done.filled == 2


def test_parquet_types_of_all_kinds_are_filled(model, tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "age": pa.array([34, None, 29], pa.int16()),
            "weight_kg": pa.array([70.5, float("nan"), 1e9], pa.float32()),
            "ward": pa.array(["north", "south", None]).dictionary_encode(),
            "smoker": pa.array([None, True, False]),
            "admitted": pa.array([None, 19_700, 19_701], pa.int32()).cast(pa.date32()),
            "clinic": pa.array(["A", None, "new"], pa.large_string()),
        }
    )
    path = tmp_path / "patients.parquet"
    pq.write_table(table, path)
    done = impute_file(model, ImputeFile(path=path, out=tmp_path / "out.parquet", draws=DRAWS))
    filled = pq.read_table(done.out)
    assert filled.schema == table.schema
    assert all(column.null_count == 0 for column in filled.columns)
    assert done.filled == 6
    assert filled["weight_kg"][2].as_py() == 1e9
    assert filled["ward"].to_pylist()[:2] == ["north", "south"]
    assert filled["clinic"].to_pylist()[1:] == ["A", "new"]
    assert 58.25 <= filled["weight_kg"][1].as_py() <= 81.0
