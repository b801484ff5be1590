"""Two small tables: patients.csv with every kind of column, and cities.parquet with fewer."""

from pathlib import Path

from modalities.tabular import Cells, TableCells, TableFiles, cell_loss
from omnimask.objectives.objective import Objective
from tests.modalities.case import Case

PATIENTS = """age,weight_kg,ward,smoker,admitted,clinic,target
34,70.5,north,yes,2024-01-05,A,ill
51,,south,no,2024-02-11,A,well
29,58.25,north,no,2023-12-30,A,well
63,81.0,east,yes,,A,ill
,,,NA,2024-03-01,A,ill
47,77.5,south,no,2024-02-20,A,well
"""


def write_patients(folder: Path, text: str) -> Path:
    path = folder / "patients.csv"
    path.write_text(text)
    return path


def edit_patients(folder: Path, old: str, new: str) -> Path:
    assert old in PATIENTS
    return write_patients(folder, PATIENTS.replace(old, new, 1))


def write_cities(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "cities.parquet"
    table = {
        "population": [8_900_000, 540_000, None, 1_400_000],
        "coast": [False, True, True, None],
    }
    pq.write_table(pa.table({**table, "target": ["ill", "well", "ill", "well"]}), path)
    return path


def truncated_parquet(folder: Path) -> Path:
    path = write_cities(folder)
    path.write_bytes(path.read_bytes()[:-60])
    return path


def text_named_parquet(folder: Path) -> Path:
    path = folder / "cities.parquet"
    path.write_text("population,coast,target\n1,true,ill\n")
    return path


def unknown_table(folder: Path) -> Path:
    return write_patients(folder, PATIENTS).rename(folder / "pets.csv")


def not_utf8(folder: Path) -> Path:
    path = folder / "patients.csv"
    path.write_bytes(PATIENTS.replace("north", "n\u00f6rd").encode("latin-1"))
    return path


BAD_FILES = {
    "empty": lambda folder: write_patients(folder, ""),
    "header only": lambda folder: write_patients(folder, PATIENTS.splitlines()[0] + "\n"),
    "line too long": lambda folder: edit_patients(folder, "A,ill", "A,ill,more"),
    "line too short": lambda folder: edit_patients(folder, "A,ill", "A"),
    "quote never closed": lambda folder: edit_patients(folder, "63", '"63'),
    "text in a numeric column": lambda folder: edit_patients(folder, "58.25", "heavy"),
    "infinite number": lambda folder: edit_patients(folder, "58.25", "inf"),
    "no date": lambda folder: edit_patients(folder, "2023-12-30", "2023-13-30"),
    "no truth value": lambda folder: edit_patients(folder, "yes", "often"),
    "duplicate column": lambda folder: edit_patients(folder, "weight_kg", "age"),
    "unnamed column": lambda folder: edit_patients(folder, "weight_kg", ""),
    "column renamed": lambda folder: edit_patients(folder, "weight_kg", "weight"),
    "no label column": lambda folder: edit_patients(folder, "target", "outcome"),
    "all cells missing": lambda folder: write_patients(
        folder, PATIENTS.splitlines()[0] + "\n,,,,,,ill\n"
    ),
    "semicolons": lambda folder: write_patients(folder, PATIENTS.replace(",", ";")),
    "not UTF-8": not_utf8,
    "truncated Parquet": truncated_parquet,
    "text named .parquet": text_named_parquet,
    "unknown table": unknown_table,
}


def make_case(root: Path) -> Case:
    write_patients(root, PATIENTS)
    write_cities(root)
    return Case(
        modality=TableCells(),
        files=TableFiles(label_column="target"),
        root=root,
        round_trip_tolerance={"number": 0.0, "code": 0.0},
        bad_files=BAD_FILES,
        objectives=(Objective(name="cells", modality="table", target=Cells(), loss=cell_loss),),
    )
