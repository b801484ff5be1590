"""Every method on every modality it fits, at an equal encoder and an equal number of tokens.

    python tools/bench_methods.py --out runs/methods --seeds 5 --processes 2
    python tools/bench_methods.py --out runs/methods --table docs/methods.md

The first command trains what is not there yet, one process per run, and writes a `result.json`
into each run folder, so that it can be stopped and started again. The second writes the table
between the marks `<!-- results -->` and `<!-- /results -->`. Needs `data/sample`.

Every recipe is the method's `cpu` size with the same encoder; its number of steps is the budget
of tokens over the tokens that one of its steps puts through the encoder (visible tokens of every
copy and plan, and mask tokens where they are replaced; not those of a teacher).
"""

import argparse
import importlib
import json
import multiprocessing
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

METHODS = (
    # Those whose runs others take as teachers come first.
    *("mae", "vqkd", "simmim", "crossmae", "colormae", "hpm", "data2vec2", "vjepa", "capi"),
    *("maskdistill", "beit2", "videomae", "audiomae", "mwmae", "pointmae", "pointcmae"),
    *("voxelmae", "remasker", "multimae"),
)
# Tokens through the encoder per run: what a minute of one core affords, by modality.
BUDGETS = {
    "image": 240_000,
    "video": 120_000,
    "audio": 120_000,
    "points": 100_000,
    "voxels": 100_000,
    "table": 240_000,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run; method "untrained" is random initialisation, "raw" the token values."""

    method: str
    modality: str
    seed: int

    def folder(self, out: Path) -> Path:
        return out / self.modality / self.method / f"seed-{self.seed}"


def jobs(methods: Sequence[str], modalities: Sequence[str], num_seeds: int) -> Iterator[Job]:
    """All jobs; those that others take as teachers first."""
    for method in methods:
        fitting = importlib.import_module(f"recipes.{method}").MODALITIES
        for modality in modalities:
            if modality in fitting:
                for seed in range(num_seeds):
                    yield Job(method=method, modality=modality, seed=seed)
    for modality in modalities:
        for seed in range(num_seeds):
            yield Job(method="untrained", modality=modality, seed=seed)
        yield Job(method="raw", modality=modality, seed=0)


def recipe_of(job: Job, out: Path, budget: int):
    """The method's cpu recipe at the benchmark's encoder, seed and number of steps."""
    from omnimask.data import Shard, Steps, fit, open_streams
    from omnimask.model import build_model
    from omnimask.recipe import Run
    from omnimask.teacher import FrozenTeacher
    from recipes.small import ENCODER

    method = "mae" if job.method in ("untrained", "raw") else job.method
    if method == "mae" and job.modality not in importlib.import_module("recipes.mae").MODALITIES:
        method = "multimae"
    recipe = importlib.import_module(f"recipes.{method}").cpu(job.modality)
    recipe = replace(
        recipe,
        encoder=replace(
            recipe.encoder,
            width=ENCODER.width,
            depth=ENCODER.depth,
            num_heads=ENCODER.num_heads,
        ),
        seed=job.seed,
        run=Run(num_workers=0, checkpoint_every=10**9, tracker="none", report=False, log_every=25),
    )
    if isinstance(recipe.teacher, FrozenTeacher) and recipe.teacher.run is not None:
        teacher = re.sub(r"^runs/(\w+)-cpu-(\w+)$", rf"{out}/\2/\1/seed-0", recipe.teacher.run)
        recipe = replace(recipe, teacher=replace(recipe.teacher, run=teacher))
    fitted = fit(recipe)
    model = build_model(fitted)
    groups = Steps(fitted, open_streams(fitted), Shard())[0].micro[0]
    per_step = sum(
        sum(plan.num_visible) + (sum(plan.num_predict) if recipe.hidden == "replace" else 0)
        for view in model.views(groups)
        for plan in model.masks(view, 0.0)
    )
    steps = max(budget // per_step, 1)
    optim = replace(recipe.optim, steps=steps, warmup_steps=max(steps // 10, 1))
    return replace(recipe, optim=optim), per_step


def run_job(job: Job, out: Path, budget: int) -> str:
    """Trains and probes in this process, unless it is done; returns a line to print."""
    folder = job.folder(out)
    if (folder / "result.json").exists():
        return f"{folder}: there already"
    try:
        result = _run(job, out, budget)
    except Exception:
        return f"{folder}: FAILED\n{traceback.format_exc()}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(asdict(job) | result, indent=1) + "\n")
    return f"{folder}: kNN {result['knn']:.3f}, linear {result['linear']:.3f}, {result['wall_s']} s"


def _run(job: Job, out: Path, budget: int) -> dict:
    import torch

    from omnimask.checkpoint import load_checkpoint
    from omnimask.model import build_model
    from omnimask.trainer import train

    torch.set_num_threads(1)
    recipe, per_step = recipe_of(job, out, budget)
    started, before = time.perf_counter(), _peak_mb()
    trained = job.method not in ("untrained", "raw")
    if trained:
        checkpoint = load_checkpoint(train(recipe, job.folder(out)))
        model = build_model(checkpoint.recipe)
        model.load_state_dict(checkpoint.weights)
    else:
        from omnimask.data import fit

        model = build_model(fit(recipe))
    wall_s, peak_mb = time.perf_counter() - started, _peak_mb()
    return {
        "steps": recipe.optim.steps if trained else 0,
        "tokens_per_step": per_step,
        "wall_s": round(wall_s, 1),
        "extra_mb": round(peak_mb - before) if trained else 0,
        **_probe(model, raw=job.method == "raw"),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _probe(model, *, raw: bool) -> dict:
    """kNN and linear accuracy on the first stream's held-out files, from all training files."""
    from omnimask.data import StreamReader
    from omnimask.linear_probe import linear_accuracy
    from omnimask.probe import knn_accuracy, standardise

    recipe = model.eval().recipe
    stream = recipe.data.streams[0]
    readers = [StreamReader(stream, f, recipe) for f in (stream.files, stream.held_out)]
    train, test = standardise(*(_features(model, reader, raw=raw) for reader in readers))
    knn, linear = knn_accuracy(train, test), linear_accuracy(train, test)
    return {"knn": knn.value, "linear": linear.value, "samples": [knn.num_train, knn.num_test]}


def _features(model, reader, *, raw: bool):
    import numpy as np
    import torch

    from omnimask.probe import Features, collect_features

    indices = list(range(len(reader)))
    if not raw:
        return collect_features(model, reader, indices, 32)
    parts = []
    for start in range(0, len(indices), 32):
        group = reader.held_out_group(indices[start : start + 32])
        (view,) = model.views([group])
        values = [
            torch.where(part.valid[:, :, None], part.values.float(), 0.0).flatten(1)
            for part in view.tokens.values()
        ]
        parts.append(torch.cat(values, dim=1).numpy())
    return Features(values=np.concatenate(parts), labels=tuple(map(reader.label, indices)))


def results(out: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*/*/seed-*/result.json"))]


def table(out: Path) -> str:
    """Markdown, one part per modality: methods by their linear accuracy."""
    import numpy as np

    found: dict[str, dict[str, list[dict]]] = {}
    for result in results(out):
        found.setdefault(result["modality"], {}).setdefault(result["method"], []).append(result)

    def spread(rows: Sequence[dict], key: str, digits: int) -> str:
        values = [row[key] for row in rows]
        mean = f"{np.mean(values):.{digits}f}"
        return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"

    lines = []
    for modality, methods in found.items():
        train, test = next(iter(methods.values()))[0]["samples"]
        lines += [
            f"### {modality} ({train} training, {test} held-out samples)",
            "",
            "| method | seeds | kNN | linear | steps | wall s | extra MB |",
            "|---|---|---|---|---|---|---|",
        ]
        order = sorted(methods, key=lambda m: -np.mean([r["linear"] for r in methods[m]]))
        for method in order:
            rows = methods[method]
            name = {"untrained": "*random initialisation*", "raw": "*raw inputs*"}.get(method)
            lines.append(
                f"| {name or method} | {len(rows)} | {spread(rows, 'knn', 3)} "
                f"| {spread(rows, 'linear', 3)} | {rows[0]['steps']} "
                f"| {spread(rows, 'wall_s', 0)} | {spread(rows, 'extra_mb', 0)} |"
            )
        lines.append("")
    return "\n".join(lines)


def write_table(out: Path, page: Path) -> None:
    """Puts the table and where it was measured between the page's marks."""
    from omnimask.hardware import hardware
    from omnimask.versions import versions

    text = page.read_text()
    start, end = "<!-- results -->", "<!-- /results -->"
    head, rest = text.split(start)
    _, tail = rest.split(end)
    where = ", ".join(f"{name} {version}" for name, version in versions().items())
    machine = ", ".join(f"{name} {value}" for name, value in hardware().items())
    body = f"{start}\n\nMeasured on {machine}; {where}.\n\n{table(out)}\n{end}"
    page.write_text(head + body + tail)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/methods"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--budget", type=float, default=1.0, help="times the usual tokens")
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--modalities", nargs="*", default=tuple(BUDGETS))
    parser.add_argument("--table", type=Path, default=None, help="only write the table there")
    arguments = parser.parse_args()
    if arguments.table is not None:
        write_table(arguments.out, arguments.table)
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # processes with a thread each do not wait for one another
    everything = list(jobs(arguments.methods, arguments.modalities, arguments.seeds))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["omnimask.trainer", "recipes.small", "sklearn.linear_model"])
    # A job that is a teacher must be done before those that read it: one method after another.
    with context.Pool(arguments.processes, maxtasksperchild=1) as pool:
        for method in dict.fromkeys(job.method for job in everything):
            part = [job for job in everything if job.method == method]
            tasks = [
                pool.apply_async(
                    run_job, (job, arguments.out, int(arguments.budget * BUDGETS[job.modality]))
                )
                for job in part
            ]
            for task in tasks:
                print(task.get(), flush=True)


if __name__ == "__main__":
    main()
