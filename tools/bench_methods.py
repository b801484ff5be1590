"""Every method on every modality it fits, at an equal encoder and an equal number of tokens.

    python tools/bench_methods.py --out runs/methods --seeds 5 --processes 2
    python tools/bench_methods.py --out runs/methods --table docs/methods.md

The first command trains what is not there yet, one process per run, and writes a `result.json`
into each run folder, so that it can be stopped and started again (without it, and with the run
there, only the probes are made again). The second writes the table
between the marks `<!-- results -->` and `<!-- /results -->`. Needs `data/sample`.

Every recipe is the method's `cpu` size with the same encoder; its number of steps is the budget
of tokens over the tokens that one of its steps puts through the encoder (visible tokens of every
copy and plan, and mask tokens where they are replaced; not those of a teacher).
"""

import argparse
import contextlib
import io
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
from functools import lru_cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnimask.training.checkpoint import last_checkpoint, load_checkpoint, write_json
from recipes.sample_modalities import SAMPLE_MODALITIES
from tools.methods import methods, modalities_of, small_recipe_of, teacher_of, teachers_first
from tools.results_table import measured, write_table

METHODS = tuple(teachers_first(list(methods())))
_TAUGHT_BY = {teacher_of(small_recipe_of(name)) for name in METHODS}
# Others take the runs of their first seed as teachers, in this order.
TEACHERS = tuple(name for name in METHODS if name in _TAUGHT_BY)
# Tokens through the encoder per run.
BUDGETS = {name: record.benchmark_tokens for name, record in SAMPLE_MODALITIES.items()} | {
    "maps": 400_000,  # 780 steps; with 78 the mean over three maps says nothing of the scene
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run; method "untrained" is random initialisation, "raw" the token values."""

    method: str
    modality: str
    seed: int

    def folder(self, out: Path) -> Path:
        return out / self.modality / self.method / f"seed-{self.seed}"


def jobs(chosen: Sequence[str], modalities: Sequence[str], num_seeds: int) -> Iterator[list[Job]]:
    """Lists of jobs that may run at once; seed by seed, so that a stopped benchmark is balanced.

    With the first seed, methods whose runs others take as teachers come first, one after another.
    """
    fitting = {method: modalities_of(method) for method in chosen}
    for seed in range(num_seeds):
        late: list[Job] = []
        for method in chosen:
            part = [
                Job(method=method, modality=modality, seed=seed)
                for modality in modalities
                if modality in fitting[method]
            ]
            if seed == 0 and method in TEACHERS:
                yield part
            else:
                late += part
        late += [Job(method="untrained", modality=m, seed=seed) for m in modalities]
        if seed == 0:
            late += [Job(method="raw", modality=m, seed=0) for m in modalities]
        yield late


def recipe_of(job: Job, out: Path, budget: int):
    """The method's cpu recipe at the benchmark's encoder, seed and number of steps."""
    from omnimask.data.streams import Shard, Steps, open_streams
    from omnimask.recipe.settings import Run
    from omnimask.recipe.teacher import FrozenTeacher
    from omnimask.training.fitting import fit
    from omnimask.training.step import build_model
    from recipes.small import ENCODER

    recipe = _cpu_recipe(job.method, job.modality)
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
        teacher = re.sub(r"^runs/([\w-]+)-cpu-(\w+)$", rf"{out}/\2/\1/seed-0", recipe.teacher.run)
        recipe = replace(recipe, teacher=replace(recipe.teacher, run=teacher))
    recipe = fit(recipe)
    model = build_model(recipe)
    groups = Steps(recipe, open_streams(recipe), Shard())[0].micro[0]
    per_step = sum(
        sum(plan.num_visible) + (sum(plan.num_predict) if recipe.hidden == "replace" else 0)
        for view in model.views(groups)
        for plan in model.masks(view, 0.0)
    )
    steps = max(budget // per_step, 1)
    optim = replace(recipe.optim, steps=steps, warmup_steps=max(steps // 10, 1))
    return replace(recipe, optim=optim), per_step


def _cpu_recipe(method: str, modality: str):
    """The method's; what is not trained takes the tokenizers of MAE's (of MultiMAE's for maps)."""
    if method in ("untrained", "raw"):
        method = "multimae" if modality == "maps" else "mae"
    return small_recipe_of(method, modality)


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
    write_json(folder / "result.json", asdict(job) | result | measured())
    return f"{folder}: kNN {result['knn']:.3f}, linear {result['linear']:.3f}, {result['wall_s']} s"


def _run(job: Job, out: Path, budget: int) -> dict:
    import torch

    from omnimask.training.step import build_model

    torch.set_num_threads(1)
    if job.method in ("untrained", "raw"):
        recipe, _ = recipe_of(job, out, budget)
        return _NOTHING | _probe(build_model(recipe), job)
    cost = job.folder(out) / "cost.json"
    if not cost.exists():
        write_json(cost, _train(job, out, budget))
    checkpoint = load_checkpoint(last_checkpoint(job.folder(out)))
    model = build_model(checkpoint.recipe)
    model.load_state_dict(checkpoint.weights)
    return json.loads(cost.read_text()) | _probe(model, job)


_NOTHING = {"steps": 0, "tokens_per_step": 0, "wall_s": 0.0, "extra_mb": 0}


def _train(job: Job, out: Path, budget: int) -> dict:
    """Trains and says what it cost: wall time, and memory beyond what the imports take."""
    from omnimask.commands.pretrain import train

    recipe, per_step = recipe_of(job, out, budget)
    started, before = time.perf_counter(), _peak_mb()
    with contextlib.redirect_stderr(io.StringIO()):  # progress of two runs at once says little
        train(recipe, job.folder(out))
    return {
        "steps": recipe.optim.steps,
        "tokens_per_step": per_step,
        "wall_s": round(time.perf_counter() - started, 1),
        "extra_mb": round(_peak_mb() - before),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@lru_cache(maxsize=8)
def samples(modality: str) -> tuple[tuple, tuple]:
    """All training and held-out groups of a modality's stream, with their labels; read once."""
    from omnimask.data.streams import StreamReader
    from omnimask.training.fitting import fit

    recipe = fit(_cpu_recipe("untrained", modality))
    stream = recipe.data.streams[0]

    def read(files) -> tuple:
        reader = StreamReader(stream, files, recipe)
        indices = [range(i, min(i + 32, len(reader))) for i in range(0, len(reader), 32)]
        return tuple((reader.held_out_group(i), tuple(map(reader.label, i))) for i in indices)

    return read(stream.files), read(stream.held_out)


def _probe(model, job: Job) -> dict:
    """kNN and linear accuracy on all held-out files, from all training files."""
    from omnimask.transfer.probing.knn import knn_accuracy, whiten
    from omnimask.transfer.probing.linear import linear_accuracy

    features = [_features(model.eval(), part, job) for part in samples(job.modality)]
    train, test = whiten(*(part.with_classes() for part in features))
    knn, linear = knn_accuracy(train, test), linear_accuracy(train, test)
    return {"knn": knn.value, "linear": linear.value, "samples": [knn.num_train, knn.num_test]}


def _features(model, groups: Sequence[tuple], job: Job):
    import numpy as np
    import torch

    from omnimask.tokens.tokens import View
    from omnimask.transfer.probing.knn import Features, mean_features

    parts, labels = [], []
    for group, group_labels in groups:
        view = View.of(group, model.modalities)
        if job.method == "raw":
            values = [
                torch.where(part.valid[:, :, None], part.values.float(), 0.0).flatten(1)
                for part in view.tokens.values()
            ]
            parts.append(torch.cat(values, dim=1).numpy())
        else:
            parts.append(mean_features(model.backbone, view).numpy())
        labels.extend(group_labels)
    return Features(values=np.concatenate(parts), labels=tuple(labels))


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
    _run_all(arguments)


def _run_all(arguments: argparse.Namespace) -> None:
    # Processes with a thread each do not wait for one another. Children are forked from this one,
    # which has imported everything and read the samples for the probes: no thread may run here.
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    import omnimask.training.loop  # noqa: F401  (loaded before the fork, for all children)

    torch.set_num_threads(1)
    for modality in arguments.modalities:
        samples(modality)
    context = multiprocessing.get_context("fork")
    with context.Pool(arguments.processes, maxtasksperchild=1) as pool:
        for part in jobs(arguments.methods, arguments.modalities, arguments.seeds):
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
