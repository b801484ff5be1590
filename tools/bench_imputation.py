"""ReMasker against scikit-learn's imputers on tables that come with scikit-learn.

    OMP_NUM_THREADS=1 python tools/bench_imputation.py --out runs/imputation
    python tools/bench_imputation.py --out runs/imputation --table docs/imputation.md

The first command writes a `result.json` for each table, seed and imputer and goes on where it was
stopped; the second writes them as a table between the page's marks `<!-- results -->` and
`<!-- /results -->`.

As in ReMasker's benchmark (https://arxiv.org/abs/2309.13793, section 4), every column is scaled to
[0, 1] by its smallest and largest value, cells are then hidden completely at random, and the score
is the RMSE over the hidden cells. An imputer is fitted on the table with gaps and fills these gaps;
it never sees a hidden cell. A row keeps at least one cell.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.results_table import measured, write_between

TABLES = ("iris", "wine", "diabetes", "breast_cancer")
MISSING = 0.3
MOST_STEPS = 600


def load_table(name: str) -> np.ndarray:
    """A table's features, (rows columns), each column scaled to [0, 1]."""
    from sklearn import datasets

    loaders = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "diabetes": datasets.load_diabetes,
        "breast_cancer": datasets.load_breast_cancer,
    }
    return scale_columns(loaders[name]().data)


def scale_columns(cells: np.ndarray) -> np.ndarray:
    low, high = cells.min(axis=0), cells.max(axis=0)
    return (cells - low) / (high - low)


def hide_cells(cells: np.ndarray, seed: int) -> np.ndarray:
    """Which cells are hidden: each with probability `MISSING`, but never all of a row."""
    random = np.random.default_rng(seed)
    hidden = random.random(cells.shape) < MISSING
    kept = random.integers(cells.shape[1], size=len(cells))
    empty = hidden.all(axis=1)
    hidden[empty, kept[empty]] = False
    return hidden


def fill_by_mean(gaps: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.impute import SimpleImputer

    return np.asarray(SimpleImputer().fit_transform(gaps))


def fill_by_neighbours(gaps: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.impute import KNNImputer

    return KNNImputer().fit_transform(gaps)


def fill_by_ridge(gaps: np.ndarray, seed: int) -> np.ndarray:
    return _iterate(gaps, None, seed)


def fill_by_trees(gaps: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.ensemble import ExtraTreesRegressor

    return _iterate(gaps, ExtraTreesRegressor(50, random_state=seed), seed)


def _iterate(gaps: np.ndarray, estimator: object, seed: int) -> np.ndarray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 makes the next import work
    from sklearn.impute import IterativeImputer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten rounds are its default
        imputer = IterativeImputer(estimator, random_state=seed)
        return np.asarray(imputer.fit_transform(gaps))


def fill_by_remasker(gaps: np.ndarray, seed: int) -> np.ndarray:
    """Trains the recipe of ReMasker on the table with gaps, at most `MOST_STEPS` steps."""
    import pandas as pd

    from omnimask.commands.pretrain import train
    from omnimask.recipe.settings import Run
    from recipes.remasker import published

    with TemporaryDirectory() as folder:
        place = Path(folder)
        pd.DataFrame(gaps).add_prefix("c").to_csv(place / "table.csv", index=False)
        recipe = published("remasker", width=32, depth=4, decoder_depth=2, rows=len(gaps))
        optim = recipe.optim
        steps = min(optim.steps, MOST_STEPS)
        warmup_steps = optim.warmup_steps * steps // optim.steps
        train(
            replace(
                recipe,
                data=replace(recipe.data, root=str(place)),
                optim=replace(optim, steps=steps, warmup_steps=warmup_steps),
                run=Run(num_workers=0, checkpoint_every=10**9, tracker="none", log_every=200),
                seed=seed,
            ),
            place / "run",
        )
        return _fill(place / "run")


def _fill(run: Path) -> np.ndarray:
    """All cells of the run's training table, gaps filled; numbers are not rounded."""
    from modalities.tabular import TableCells, impute_cells
    from omnimask.data.streams import open_streams
    from omnimask.training.checkpoint import last_checkpoint, load_checkpoint
    from omnimask.training.step import build_model

    trained = load_checkpoint(last_checkpoint(run))
    model = build_model(trained.recipe)
    model.load_state_dict(trained.weights)
    (reader,) = open_streams(trained.recipe)
    raw = impute_cells(model, reader.held_out_group(range(len(reader))))
    (modality,) = trained.recipe.modalities
    assert isinstance(modality, TableCells)
    scales = np.array([column.scale for column in modality.columns])
    means = np.array([column.mean for column in modality.columns])
    return np.asarray(raw["number"]) * scales + means


def fill_by_transformer(gaps: np.ndarray, seed: int) -> np.ndarray:
    """OmniMaskImputer, which is ReMasker in memory; as many steps as `fill_by_remasker`."""
    from modalities.tabular import OmniMaskImputer

    steps = min(600 * max(len(gaps) // 64, 1), MOST_STEPS)
    return OmniMaskImputer(n_steps=steps, random_state=seed).fit_transform(gaps)


IMPUTERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "mean": fill_by_mean,
    "5 neighbours": fill_by_neighbours,
    "iterative, Bayesian ridge": fill_by_ridge,
    "iterative, extra trees": fill_by_trees,
    "ReMasker": fill_by_remasker,
    "OmniMaskImputer": fill_by_transformer,
}


def run_all(out: Path, tables: Sequence[str], imputers: Sequence[str], num_seeds: int) -> None:
    for seed in range(num_seeds):
        for table in tables:
            cells = load_table(table)
            hidden = hide_cells(cells, seed)
            gaps = np.where(hidden, np.nan, cells)
            for imputer in imputers:
                path = out / table / imputer.replace(" ", "-") / f"seed-{seed}" / "result.json"
                if path.exists():
                    continue
                start = time.perf_counter()
                filled = IMPUTERS[imputer](gaps, seed)
                result = {
                    "table": table,
                    "shape": cells.shape,
                    "imputer": imputer,
                    "seed": seed,
                    "rmse": float(np.sqrt(np.square(filled - cells)[hidden].mean())),
                    "seconds": time.perf_counter() - start,
                    **measured("scikit-learn"),
                }
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(result))
                print(f"{table} seed {seed} {imputer}: {result['rmse']:.4f}", flush=True)


def markdown(results: Sequence[dict]) -> str:
    """Imputers by tables: mean RMSE, its deviation over the seeds, and the median seconds."""
    shapes = {result["table"]: result["shape"] for result in results}
    tables = [table for table in TABLES if table in shapes]
    titles = [f"{table} ({shapes[table][0]} × {shapes[table][1]})" for table in tables]
    lines = [f"| imputer | {' | '.join(titles)} | seconds |", "|---" * (len(tables) + 2) + "|"]
    for imputer in IMPUTERS:
        own = [result for result in results if result["imputer"] == imputer]
        if not own:
            continue
        scores = [_spread([r["rmse"] for r in own if r["table"] == table]) for table in tables]
        seconds = float(np.median([r["seconds"] for r in own]))
        lines.append(f"| {imputer} | {' | '.join(scores)} | {seconds:.2g} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.4f}" if values else ""
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"


def write_table(out: Path, page: Path) -> None:
    """Puts the table and where it was measured between the page's marks."""
    results = [json.loads(path.read_text()) for path in sorted(out.glob("*/*/*/result.json"))]
    num_seeds = len({result["seed"] for result in results})
    write_between(page, f"{num_seeds} seeds.\n\n{markdown(results)}\n", results)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/imputation"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tables", nargs="*", default=TABLES)
    parser.add_argument("--imputers", nargs="*", default=tuple(IMPUTERS))
    parser.add_argument("--table", type=Path, default=None, help="only write the table there")
    arguments = parser.parse_args()
    if arguments.table is not None:
        write_table(arguments.out, arguments.table)
        return
    run_all(arguments.out, arguments.tables, arguments.imputers, arguments.seeds)


if __name__ == "__main__":
    main()
