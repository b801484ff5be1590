"""Which factors of the world can be learnt from which sense, and which are given away.

    omnimask sample-data data/world --scenes 20000
    python tools/bench_world.py data/world --out runs/world --processes 2
    python tools/bench_world.py --out runs/world --table docs/world.md

For every sense and each factor that it shows (omnimask/sample_data/world/seen.py): accuracy or R²
on held-out scenes, whose objects no training scene has, of linear probes of pooled raw values
(tools/raw_features.py) and of a random encoder's mean feature, and of the same encoder trained on
the labels of all factors at once, by a fine-tuning run from scratch. Every sense and kind leaves a
`result.json`, so that the work can be stopped and started again; the last command writes the table
between the marks `<!-- results -->` and `<!-- /results -->`.
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from omnimask.sample_data.world.layout import SENSES
from omnimask.sample_data.world.seen import CLASS_FACTORS, SEEN
from omnimask.training.checkpoint import write_json
from tools.results_table import measured, write_between
from tools.world_recipe import Settings, recipe_of, write_labels

KINDS = ("probes", "supervised")
COLUMNS = ("raw", "random", "supervised")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A score on held-out scenes with its 95 % interval."""

    value: float
    low: float
    high: float


def run_cell(sense: str, kind: str, root: Path, out: Path, settings: Settings) -> str:
    """Makes one cell in this process, unless it is done; returns a line to print."""
    import torch

    torch.set_num_threads(1)
    folder = out / sense / kind
    if (folder / "result.json").exists():
        return f"{folder}: there already"
    started = time.perf_counter()
    try:
        write_labels(sense, root, settings, folder)
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            make = _probes if kind == "probes" else _supervised
            result = make(sense, root, settings, folder)
    except Exception:
        return f"{folder}: FAILED\n{traceback.format_exc()}"
    seconds = round(time.perf_counter() - started, 1)
    write_json(
        folder / "result.json",
        {"sense": sense, **result, "seconds": seconds, **asdict(settings), **measured()},
    )
    return f"{folder}: done in {seconds} s"


def _probes(sense: str, root: Path, settings: Settings, folder: Path) -> dict[str, Any]:
    """Linear probes of raw values and of random encoders."""
    from omnimask.training.fitting import fit_modalities
    from omnimask.transfer.pretrained_encoder import EncoderInfo
    from omnimask.transfer.probing.run import untrained_encoder

    recipe = recipe_of(sense, root, settings, folder)
    recipe = replace(recipe, modalities=fit_modalities(recipe.modalities, recipe.data))
    info = EncoderInfo(
        name="random", modalities=recipe.modalities, encoder=recipe.encoder, origin={}
    )
    encoders = [untrained_encoder(info, seed).eval() for seed in settings.random_seeds]
    (stream,) = recipe.data.streams
    parts = [
        _features(recipe, stream, files, folder / f"{split}.parquet", encoders)
        for files, split in ((stream.files, "train"), (stream.held_out, "held_out"))
    ]
    (train, known), (test, truths) = parts
    scores: dict[str, Any] = {}
    for factor in SEEN[sense]:
        labels = [_labels(factor, part) for part in (known, truths)]
        found = [_linear(a, b, *labels) for a, b in zip(train, test, strict=True)]
        scores[factor] = {
            "raw": asdict(found[0]),
            "random": [asdict(each) for each in found[1:]],
            "chance": _chance(factor, *labels),
        }
    return {"scores": scores, "num_train": len(known), "num_test": len(truths)}


def _features(
    recipe: Any, stream: Any, files: Any, labels: Path, encoders: Sequence[Any]
) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
    """Raw values and each encoder's mean feature, and the factors, of the labelled samples."""
    import pandas as pd

    from omnimask.data.streams import StreamReader
    from tools.raw_features import read_features

    table = pd.read_parquet(labels).set_index("name")
    reader = StreamReader(stream, files, recipe)
    names = [str(Path(reader.name(i)).with_suffix("")) for i in range(len(reader))]
    chosen = [i for i, name in enumerate(names) if name in table.index]
    rows = table.loc[[names[i] for i in chosen]].to_dict("records")
    return read_features(reader, chosen, encoders), rows


def _labels(factor: str, rows: Sequence[Mapping[str, Any]]) -> tuple[str | float, ...]:
    kind = str if factor in CLASS_FACTORS else float
    return tuple(kind(row[factor]) for row in rows)


def _chance(factor: str, known: tuple, truths: tuple) -> float:
    """Accuracy of the commonest training class; the R² of the mean is 0."""
    if factor not in CLASS_FACTORS:
        return 0.0
    commonest = max(set(known), key=known.count)
    return truths.count(commonest) / len(truths)


def _linear(train: np.ndarray, test: np.ndarray, known: tuple, truths: tuple) -> Found:
    from omnimask.transfer.probing.knn import Features, whiten
    from omnimask.transfer.probing.linear import linear_accuracy, ridge_r2

    sides = whiten(Features(values=train, labels=known), Features(values=test, labels=truths))
    probe = linear_accuracy if isinstance(known[0], str) else ridge_r2
    found = probe(*sides)
    return Found(value=found.value, low=found.low, high=found.high)


def _supervised(sense: str, root: Path, settings: Settings, folder: Path) -> dict[str, Any]:
    """The same encoder trained on all factors at once; the run itself is not kept."""
    import pandas as pd

    from omnimask.data.samples import Unreadable
    from omnimask.foundation.reloading import trust_parts
    from omnimask.training.loop import carry_out
    from omnimask.transfer.finetuning.evaluate import predict_all
    from omnimask.transfer.finetuning.job import FineTuning
    from omnimask.transfer.finetuning.scores import Predicted
    from tools.factor_task import Factors

    recipe = recipe_of(sense, root, settings, folder)
    num_train = len(pd.read_parquet(folder / "train.parquet"))
    steps = max(settings.passes * num_train // settings.batch_size, 2)
    optim = replace(recipe.optim, steps=steps, warmup_steps=max(steps // 10, 1))
    recipe = replace(recipe, optim=optim)
    trust_parts(recipe)
    shutil.rmtree(folder / "run", ignore_errors=True)
    job = FineTuning(recipe=recipe)
    carry_out(job, folder / "run")
    predicted = predict_all(job.model, [job.readers[0].held_out], Unreadable())
    shutil.rmtree(folder / "run")
    task = job.recipe.task
    assert isinstance(task, Factors)
    assert isinstance(predicted, Predicted)
    scores = {}
    ends = np.cumsum([max(len(values), 1) for values in task.values])[:-1]
    columns = np.split(predicted.values, ends, axis=1)
    for number, (factor, outputs) in enumerate(zip(task.names, columns, strict=True)):
        truth = predicted.truth[:, number]
        if task.values[number]:
            found = _accuracy(truth.astype(int), outputs.argmax(axis=1))
        else:
            own = outputs[:, 0] * task.deviation[number] + task.mean[number]
            found = _r2(truth, own)
        scores[factor] = {"supervised": asdict(found)}
    return {
        "scores": scores,
        "num_train": num_train,
        "num_test": len(predicted.names),
        "steps": steps,
    }


def _accuracy(truth: np.ndarray, chosen: np.ndarray) -> Found:
    from omnimask.transfer.intervals import wilson_interval

    right = truth == chosen
    low, high = wilson_interval(int(right.sum()), len(right))
    return Found(value=float(right.mean()), low=low, high=high)


def _r2(truth: np.ndarray, predicted: np.ndarray) -> Found:
    from omnimask.transfer.intervals import r2, r2_interval

    low, high = r2_interval(truth, predicted)
    return Found(value=float(r2(truth, predicted)), low=low, high=high)


def table(out: Path) -> str:
    """Markdown, one part per sense: a row per factor."""
    lines: list[str] = []
    for sense in SENSES:
        made = {kind: _read(out / sense / kind) for kind in KINDS}
        if not any(made.values()):
            continue
        first = next(part for part in made.values() if part)
        trained = made["supervised"]
        steps = f"; supervised: {trained['steps']} steps" if trained else ""
        sizes = f"{first['num_train']} training, {first['num_test']} held-out scenes"
        lines += [
            f"### {sense} ({sizes}{steps})",
            "",
            "| factor | measure | chance | pooled raw values | random encoder | supervised |",
            "|---|---|---|---|---|---|",
        ]
        for factor in SEEN[sense]:
            probes = (made["probes"] or {"scores": {}})["scores"].get(factor, {})
            learnt = (trained or {"scores": {}})["scores"].get(factor, {})
            measure = "accuracy" if factor in CLASS_FACTORS else "R²"
            random = probes.get("random", [])
            cells = (probes.get("raw"), random[0] if random else None, learnt.get("supervised"))
            chance = f"{probes['chance']:.2f}" if probes else "–"
            lines.append(f"| {factor} | {measure} | {chance} | {' | '.join(map(_cell, cells))} |")
        lines.append("")
    return "\n".join(lines)


def _cell(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "–"
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / "result.json"
    return json.loads(path.read_text()) if path.exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, nargs="?", help="a world's folder")
    parser.add_argument("--out", type=Path, default=Path("runs/world"))
    parser.add_argument("--senses", nargs="+", default=SENSES)
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--max-train", type=int, default=Settings().max_train)
    parser.add_argument("--max-test", type=int, default=Settings().max_test)
    parser.add_argument("--passes", type=int, default=Settings().passes)
    parser.add_argument("--table", type=Path, default=None, help="only write the table there")
    options = parser.parse_args()
    if options.table is not None:
        results = [_read(path.parent) for path in sorted(options.out.glob("*/*/result.json"))]
        write_between(options.table, table(options.out), [each for each in results if each])
        return
    if options.root is None:
        parser.error("name the world's folder")
    os.environ["OMP_NUM_THREADS"] = "1"
    settings = Settings(
        max_train=options.max_train, max_test=options.max_test, passes=options.passes
    )
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes, maxtasksperchild=1) as pool:
        tasks = [
            pool.apply_async(run_cell, (sense, kind, options.root, options.out, settings))
            for kind in options.kinds
            for sense in options.senses
        ]
        for task in tasks:
            print(task.get(), flush=True)


if __name__ == "__main__":
    main()
