"""What one pretrained encoder is worth on each modality, with all and with a tenth of the labels.

    python tools/bench_transfer.py runs/longer --out runs/transfer --seeds 5 --processes 2
    python tools/bench_transfer.py --out runs/transfer --table docs/transfer.md

The first command makes what is not there yet, one process per cell: fine-tuning by
recipes.finetune, from the encoder with a head that begins at random or as a linear probe, and from
scratch; kNN and linear probes of the frozen encoder and of a random one, on the same held-out
files. A seed changes the weights that are new, the order of the samples, and which labels make up
the tenth. Every cell leaves a `result.json`, so that the work can be stopped and started again. The
second command writes the table between the page's marks `<!-- results -->` and `<!-- /results -->`.
Needs `data/sample`.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from omnimask.training.checkpoint import write_json
from recipes.sample_modalities import mixed_modalities
from tools.results_table import measured, write_between

MODALITIES = tuple(mixed_modalities())
SHARES = (0.1, 1.0)
KINDS = ("finetuned", "from probe", "scratch", "probes")
COLUMNS = ("finetuned", "from probe", "scratch", "linear", "random linear", "knn", "random knn")
# Of "from probe": steps small enough to keep what the probe knows.
PROBE_RATE = 2e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One run, or one set of probes."""

    modality: str
    kind: str
    share: float
    seed: int

    def folder(self, out: Path) -> Path:
        kind = self.kind.replace(" ", "-")
        return out / self.modality / f"{kind}-{self.share:g}" / f"seed-{self.seed}"


def run_cell(cell: Cell, encoder: Path, out: Path) -> str:
    """Makes one cell in this process, unless it is done; returns a line to print."""
    import torch

    torch.set_num_threads(1)
    folder = cell.folder(out)
    if (folder / "result.json").exists():
        return f"{folder}: there already"
    started = time.perf_counter()
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            scores = _probes(cell, encoder) if cell.kind == "probes" else _run(cell, encoder, out)
    except Exception:
        return f"{folder}: FAILED\n{traceback.format_exc()}"
    folder.mkdir(parents=True, exist_ok=True)
    seconds = round(time.perf_counter() - started, 1)
    write_json(folder / "result.json", {"scores": scores, "seconds": seconds, **measured()})
    return f"{folder}: {scores} in {seconds} s"


def _run(cell: Cell, encoder: Path, out: Path) -> dict[str, float]:
    """The held-out accuracy after fine-tuning; the run itself is not kept."""
    import recipes.finetune
    from omnimask.commands.finetune import finetune
    from omnimask.recipe.settings import Run
    from omnimask.transfer.finetuning.results import read_results

    recipe = recipes.finetune.sample(cell.modality)
    recipe = replace(
        recipe,
        label_share=cell.share,
        seed=cell.seed,
        validation=replace(recipe.validation, every=0),
        run=Run(num_workers=0, checkpoint_every=10**9, tracker="none", report=False, log_every=50),
    )
    if cell.kind == "from probe":
        optim = replace(recipe.optim, lr=PROBE_RATE)
        recipe = replace(recipe, head_norm="probe", drop_path=0.0, optim=optim)
    run = cell.folder(out) / "run"
    finetune(recipe, run, encoder=None if cell.kind == "scratch" else encoder)
    (part,) = read_results(run)["streams"].values()
    shutil.rmtree(run)
    return {cell.kind: part["scores"]["accuracy"]["value"]}


def _probes(cell: Cell, encoder: Path) -> dict[str, float]:
    import recipes.finetune
    from omnimask.transfer.probing.run import probe
    from omnimask.transfer.probing.settings import Probes

    settings = Probes(
        label_share=cell.share,
        seed=cell.seed,
        random_seeds=(1000 + cell.seed,),
        max_train=10**6,
        max_test=10**6,
    )
    recipe = recipes.finetune.sample(cell.modality)
    results = probe(encoder, recipe=recipe, modalities=(cell.modality,), settings=settings)
    scores = {}
    for name in ("linear", "knn"):
        found = next(s for s in results.scores if (s.probe, s.measure) == (name, "accuracy"))
        scores |= {name: found.value, f"random {name}": found.random[0]}
    return scores


def table(out: Path) -> str:
    """Markdown: a row per modality and share of the labels, accuracy as mean and deviation."""
    lines = [
        f"| modality | labels | seeds | {' | '.join(COLUMNS)} |",
        "|---" * (3 + len(COLUMNS)) + "|",
    ]
    for modality in MODALITIES:
        for share in SHARES:
            values: dict[str, list[float]] = {}
            for path in sorted(out.glob(f"{modality}/*-{share:g}/seed-*/result.json")):
                for name, value in json.loads(path.read_text())["scores"].items():
                    values.setdefault(name, []).append(value)
            if values:
                cells = [_cell(values.get(name, ())) for name in COLUMNS]
                counts = sorted({len(found) for found in values.values()})
                seeds = "-".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
                lines.append(f"| {modality} | {share:.0%} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _results(out: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*/*/seed-*/result.json"))]


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "–"
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("encoder", type=Path, nargs="?", help="a run or encoder folder")
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--modalities", nargs="*", default=MODALITIES)
    parser.add_argument("--table", type=Path, default=None, help="only write the table there")
    arguments = parser.parse_args()
    if arguments.table is not None:
        write_between(arguments.table, table(arguments.out), _results(arguments.out))
        return
    if arguments.encoder is None:
        parser.error("name the run or encoder folder to measure")
    os.environ["OMP_NUM_THREADS"] = "1"
    cells = [
        Cell(modality=modality, kind=kind, share=share, seed=seed)
        for seed in range(arguments.seeds)
        for modality in arguments.modalities
        for share in SHARES
        for kind in KINDS
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.processes, maxtasksperchild=8) as pool:
        tasks = [pool.apply_async(run_cell, (c, arguments.encoder, arguments.out)) for c in cells]
        for task in tasks:
            print(task.get(), flush=True)


if __name__ == "__main__":
    main()
