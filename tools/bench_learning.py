"""What pretraining buys on the world: trained beside random beside raw, one encoder beside six.

    omnimask sample-data data/world --scenes 4000
    python tools/bench_learning.py data/world --out runs/learning --budget hour --processes 2
    python tools/bench_learning.py --out runs/learning --budget hour --page docs/learning.md

A cell is one pretraining run with one seed: of all six senses at once, or of one (a specialist, of
the same size, with as many steps and samples of its sense). Its frozen encoder is probed for every
factor of held-out scenes (`omnimask.transfer.probing.columns`) at several lengths of pretraining,
beside encoders with random weights and beside pooled raw values (tools/raw_features.py). Every cell
leaves a `result.json` and goes on from its last checkpoint, so that the work can be stopped and
started again; the last command writes the page's tables and the curves beside it.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


from omnimask.sample_data.world.layout import SENSES
from omnimask.training.checkpoint import write_json
from tools.learning_table import ABLATIONS, CELLS, draw_curves, read_cells, tables
from tools.results_table import measured, write_between


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """`steps` of pretraining with `looks` on the way, and how many labelled scenes probes get."""

    steps: int
    seeds: int
    looks: int = 4
    max_train: int = 2000
    max_test: int = 800
    random_seeds: tuple[int, ...] = (1000, 1001, 1002)


BUDGETS = {
    "smoke": Budget(steps=4, seeds=1, looks=2, max_train=60, max_test=20, random_seeds=(1000,)),
    "minutes": Budget(steps=2000, seeds=1),
    "hour": Budget(steps=4000, seeds=3),
    "gpu": Budget(steps=40_000, seeds=3, max_train=10_000, max_test=2_000),
}


def run_cell(cell: str, seed: int, root: Path, out: Path, budget: Budget) -> str:
    """Makes one cell in this process, unless it is done; returns a line to print."""
    import torch

    torch.set_num_threads(1)
    folder = out / cell / f"seed-{seed}"
    if (folder / "result.json").exists():
        return f"{folder}: there already"
    started = time.perf_counter()
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            result = _learn(cell, seed, root, folder, budget)
    except Exception:
        return f"{folder}: FAILED\n{traceback.format_exc()}"
    seconds = round(time.perf_counter() - started, 1)
    about = {"cell": cell, "seed": seed, "seconds": seconds, **asdict(budget)}
    write_json(folder / "result.json", {**about, **result, **measured()})
    return f"{folder}: done in {seconds} s"


def _learn(cell: str, seed: int, root: Path, folder: Path, budget: Budget) -> dict[str, Any]:
    from omnimask.commands.pretrain import train
    from omnimask.foundation.json_lines import read_lines
    from omnimask.recipe.settings import Run
    from omnimask.training.checkpoint import list_checkpoints
    from recipes.world import masked_autoencoder

    recipe = changed(cell, masked_autoencoder(cell, (cell,) if cell in SENSES else SENSES))
    run = Run(
        num_workers=0,
        checkpoint_every=max(budget.steps // budget.looks, 1),
        keep_checkpoints=budget.looks + 1,
        tracker="none",
        report=False,
    )
    optim = replace(recipe.optim, steps=budget.steps, warmup_steps=max(budget.steps // 10, 1))
    data = replace(recipe.data, root=str(root))
    train(replace(recipe, optim=optim, data=data, run=run, seed=seed), folder / "run")
    lines = read_lines(folder / "run" / "metrics.jsonl")
    return {
        "batch_sizes": {stream.name: stream.batch_size for stream in data.streams},
        "loss": lines[-1]["loss"],
        **_probe(list_checkpoints(folder / "run"), budget),
    }


def changed(cell: str, recipe: Any) -> Any:
    """The recipe of an ablation; others as they are."""
    if cell == "shared-decoder":
        decoder = next(iter(recipe.decoders.values()))
        objectives = tuple(replace(o, decoder="main") for o in recipe.objectives)
        return replace(recipe, decoders={"main": decoder}, objectives=objectives)
    if cell == "equal-weights":
        objectives = tuple(replace(o, weight=1.0) for o in recipe.objectives)
        return replace(recipe, objectives=objectives)
    return recipe


def _probe(checkpoints: Sequence[Path], budget: Budget) -> dict[str, Any]:
    """`senses`: all scores of the last checkpoint, and the skill of each one on the way. `across`:
    for every way between two senses, how often its last features find a scene (`_across`).
    """
    from omnimask.training.checkpoint import load_checkpoint
    from omnimask.transfer.loading import load_encoder
    from omnimask.transfer.probing.run import untrained_encoder

    recipe = load_checkpoint(checkpoints[-1]).recipe
    trained = [load_encoder(path).eval() for path in checkpoints]
    others = [untrained_encoder(trained[-1].info, s).eval() for s in budget.random_seeds]
    looks, found = len(trained), {}
    last, rest = slice(looks, looks + 1), slice(looks + 1, None)
    read = {
        stream.name: _read(recipe, stream, (*trained, *others), budget)
        for stream in recipe.data.streams
        if stream.held_out is not None
    }
    for stream in recipe.data.streams:
        if stream.name not in read:
            continue
        sides = read[stream.name]
        skills = [_scores(stream, sides, trained=slice(n, n + 1)) for n in range(1, looks + 1)]
        steps = [int(path.name.removeprefix("step-")) for path in checkpoints]
        found[stream.name] = {
            **asdict(_scores(stream, sides, trained=last, untrained=rest, raw=slice(0, 1))),
            "curve": {n: asdict(s.skill["trained"]) for n, s in zip(steps, skills, strict=True)},
        }
    spaces = {"trained": last, "untrained": rest, "raw": slice(0, 1)}
    return {"senses": found, "across": _across(read, spaces)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Some samples of a stream: raw values, then each encoder's features, labels and names."""

    features: Sequence[Any]
    labels: Any
    names: Sequence[str]


def _scores(stream: Any, sides: Sequence[Side], **spaces: slice) -> Any:
    """Of the features at the given places of a side's."""
    from omnimask.transfer.probing.columns import probe_columns

    train, test = sides
    parts = [{name: side.features[rows] for name, rows in spaces.items()} for side in sides]
    scores = probe_columns(stream.name, parts[0], parts[1], train.labels, test.labels)
    assert scores is not None, "every sense has factors"
    return scores


def _read(recipe: Any, stream: Any, encoders: Sequence[Any], budget: Budget) -> list[Side]:
    """Of training and of held-out samples."""
    from omnimask.data.label_tables import label_columns
    from omnimask.data.samples import spread
    from omnimask.data.streams import StreamReader
    from tools.raw_features import read_features

    sides = []
    for files, most in ((stream.files, budget.max_train), (stream.held_out, budget.max_test)):
        reader = StreamReader(stream, files, recipe)
        chosen = spread(len(reader), most)
        sides.append(
            Side(
                features=read_features(reader, chosen, encoders),
                labels=label_columns(reader, chosen),
                names=[reader.name(index) for index in chosen],
            )
        )
    return sides


def _across(read: Mapping[str, list[Side]], spaces: Mapping[str, slice]) -> list[dict[str, Any]]:
    """Both ways between every two senses, by the scenes that both have seen."""
    from omnimask.transfer.searching.across import Seen, retrieve_across

    senses = [
        Seen(
            sense=sense,
            names=(train.names, test.names),
            spaces={
                name: list(zip(train.features[at], test.features[at], strict=True))
                for name, at in spaces.items()
            },
        )
        for sense, (train, test) in read.items()
    ]
    return [asdict(way) for way in retrieve_across(senses)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, nargs="?", help="a world's folder")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    parser.add_argument("--budget", choices=BUDGETS, default="hour")
    parser.add_argument("--cells", nargs="+", choices=(*CELLS, *ABLATIONS), default=CELLS)
    parser.add_argument("--steps", type=int, help="in place of the budget's")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--page", type=Path, help="only write the tables there")
    options = parser.parse_args()
    budget, out = BUDGETS[options.budget], options.out / options.budget
    if options.steps is not None:
        budget, out = replace(budget, steps=options.steps), out / f"{options.steps}-steps"
    if options.page is not None:
        cells = read_cells(out)
        write_between(options.page, tables(cells), [r for part in cells.values() for r in part])
        draw_curves(cells, options.page.with_suffix(".png"))
        return
    if options.root is None:
        parser.error("name the world's folder")
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes, maxtasksperchild=1) as pool:
        tasks = [
            pool.apply_async(run_cell, (cell, seed, options.root, out, budget))
            for seed in range(budget.seeds)
            for cell in options.cells
        ]
        lines = [task.get() for task in tasks]
    print("\n".join(lines))
    if any("FAILED" in line for line in lines):
        sys.exit(1)


if __name__ == "__main__":
    main()
