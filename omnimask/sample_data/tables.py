"""Tables: four real ones from scikit-learn, with cells knocked out, as CSV and Parquet."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omnimask.sample_data.files import SPLITS, FileJob

if TYPE_CHECKING:
    import pandas as pd

_TABLES = ("iris", "wine", "breast_cancer", "diabetes")
_HELD_OUT_SHARE = 0.2
MISSING_SHARES = {"iris": 0.05, "wine": 0.06, "breast_cancer": 0.08, "diabetes": 0.10}


ABOUT = """
Real, from scikit-learn: `iris` (R. A. Fisher), `wine` and `breast_cancer` (UCI), `diabetes`
(Efron, Hastie, Johnstone, Tibshirani 2004, in its raw units). `target` is the class name, or a
number for diabetes. Not real: the empty feature cells (5 % of iris, 6 % of wine, 8 % of
breast_cancer, 10 % of diabetes, completely at random), `sampled_on` in wine (a date computed
from `alcohol` plus noise) and `overweight` in diabetes (`bmi` >= 25). `sex` in diabetes is the
package's 1 and 2 written as a and b. One row in five is held out, class by class.
`breast_cancer.parquet` holds the same rows as the CSV file."""


def jobs(scale: float) -> list[FileJob]:
    """The tables are small and keep all their rows at any scale."""
    del scale
    files = [f"{name}.csv" for name in _TABLES] + ["breast_cancer.parquet"]
    return [
        FileJob(path=f"tables/{split}/{file}", label=Path(file).stem, split=split, index=0)
        for split in SPLITS
        for file in files
    ]


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    del rng  # a table's split and its missing cells must be alike in all of its files
    table = _with_missing(_read(job.label), MISSING_SHARES[job.label])
    held_out = _held_out_rows(table["target"].to_numpy())
    part = table[held_out if job.split == "held_out" else ~held_out]
    if job.suffix == ".parquet":
        part.to_parquet(root / job.path, index=False)
    else:
        part.to_csv(root / job.path, index=False, float_format="%.6g", lineterminator="\n")


def _read(name: str) -> "pd.DataFrame":
    """All rows of one table in the package's order, with its derived columns and the target."""
    import pandas as pd
    from sklearn import datasets

    if name == "diabetes":
        return _diabetes()
    loaders = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast_cancer": datasets.load_breast_cancer,
    }
    bunch: Any = loaders[name](as_frame=True)
    table = bunch.data.rename(columns=_plain_name)
    if name == "wine":
        # Derived: strong wines are given late days of a year, so that the date can be predicted
        # a little from the other columns.
        noise = np.random.default_rng(1).normal(0, 40, size=len(table))
        days = np.round((table["alcohol"] - 11) * 90 + noise).clip(0, 364)
        dates = pd.Timestamp("2021-01-01") + pd.to_timedelta(days, unit="D")
        table.insert(0, "sampled_on", dates.dt.strftime("%Y-%m-%d"))
    table["target"] = bunch.target_names[bunch.target]
    return table


def _diabetes() -> "pd.DataFrame":
    from sklearn.datasets import load_diabetes

    bunch: Any = load_diabetes(as_frame=True, scaled=False)
    table = bunch.data.copy()
    table["sex"] = table["sex"].map({1.0: "a", 2.0: "b"})
    table.insert(2, "overweight", (table["bmi"] >= 25).astype("boolean"))
    table["target"] = bunch.target
    return table


def _plain_name(column: str) -> str:
    """`sepal length (cm)` becomes `sepal_length_cm`."""
    plain = column.replace("(", "").replace(")", "").replace("/", "_over_")
    return "_".join(plain.split())


def _with_missing(table: "pd.DataFrame", share: float) -> "pd.DataFrame":
    """Empties this share of the feature cells, each with the same chance; never the target."""
    features = [name for name in table.columns if name != "target"]
    gone = np.random.default_rng(2).uniform(size=(len(table), len(features))) < share
    return table.assign(**{name: table[name].mask(gone[:, i]) for i, name in enumerate(features)})


def _held_out_rows(target: np.ndarray) -> np.ndarray:
    """True for one row in five: per class, or spread evenly over the sorted numbers."""
    rng = np.random.default_rng(3)
    held_out = np.zeros(len(target), dtype=bool)
    if target.dtype.kind == "f":
        order = np.argsort(target, kind="stable")
        groups = [order[start : start + 5] for start in range(0, len(order), 5)]
        held_out[[rng.choice(group) for group in groups]] = True
        return held_out
    for name in np.unique(target):
        rows = np.flatnonzero(target == name)
        held_out[rng.choice(rows, size=round(len(rows) * _HELD_OUT_SHARE), replace=False)] = True
    return held_out
