"""`omnimask sweep`: a small grid of runs in one folder. Imports nothing heavy until it runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnimask.training.several import RunJob


def add_sweep_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `sweep` to the parser of `omnimask`."""
    sweep = commands.add_parser("sweep", help="a small grid of runs, and a page that compares them")
    sweep.add_argument("recipe", help="module:function, such as recipes.mae:cpu")
    sweep.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="PATH=VALUE,VALUE",
        help="a field and its values, such as masker.ratio=0.5,0.75; may be repeated",
    )
    sweep.add_argument("--seeds", type=int, default=1, help="runs of each setting (%(default)s)")
    sweep.add_argument("--jobs", type=int, default=1, help="runs at once (%(default)s)")
    sweep.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="for all of them"
    )
    sweep.add_argument("--out", type=Path, default=None, help="folder (runs/sweep-<recipe name>)")
    sweep.set_defaults(run_command=_sweep)


def _sweep(arguments: argparse.Namespace) -> None:
    import torch

    from omnimask.foundation.errors import OmnimaskError, RecipeError
    from omnimask.recipe.grid import grid
    from omnimask.recipe.loading import load_named_recipe
    from omnimask.recipe.recipe import override
    from omnimask.report.comparing.page import write_comparison
    from omnimask.report.comparing.runs import read_runs
    from omnimask.training.several import run_all

    if arguments.seeds < 1 or arguments.jobs < 1:
        raise RecipeError("sweep: --seeds and --jobs must be >= 1")
    recipe = load_named_recipe(arguments.recipe)
    out = arguments.out or Path("runs") / f"sweep-{recipe.name}"
    points = grid(arguments.over)
    for point in points:  # before the first run begins, whether every setting can be had
        override(recipe, [*arguments.set, *point])
    groups: dict[Path, str] = {}
    jobs = []
    for point in points:
        for seed in range(arguments.seeds):
            job = _job(arguments, out, point, seed)
            groups[out / job.name] = " ".join(point) or recipe.name
            jobs.append(job)
    due = [job for job in jobs if not _is_done(out / job.name)]
    print(f"{len(jobs)} runs in {out}, {len(jobs) - len(due)} of them done", flush=True)
    statuses = run_all(
        due,
        at_once=arguments.jobs,
        num_gpus=torch.cuda.device_count(),
        said=lambda text: print(text, flush=True),
    )
    failed = [job for job in due if statuses[job.name]]
    begun = [folder for folder in groups if (folder / "recipe.json").is_file()]
    notes = [f"{job.name} failed: {_last_line(job.log)}" for job in failed]
    if begun:
        title = f"{recipe.name}: {' '.join(arguments.over) or 'seeds'}"
        runs = read_runs(begun, groups)
        print(f"page: {write_comparison(runs, out / 'index.html', title=title, notes=notes)}")
    if failed:
        raise OmnimaskError(
            f"{len(failed)} of {len(jobs)} runs failed; the same command tries them again. "
            + "; ".join(notes)
        )


def _job(arguments: argparse.Namespace, out: Path, point: Sequence[str], seed: int) -> "RunJob":
    from omnimask.training.several import RunJob

    name = "+".join([*point, f"seed={seed}"]).replace("/", "_").replace(" ", "")
    changes = [*arguments.set, *point, f"seed={seed}"]
    return RunJob(
        name=name,
        arguments=(
            *("pretrain", arguments.recipe, "--out", str(out / name)),
            *(word for change in changes for word in ("--set", change)),
        ),
        log=out / "logs" / f"{name}.log",
    )


def _is_done(run: Path) -> bool:
    """Whether the run has reached its last step, and its report, if it has one, is written."""
    from omnimask.training.checkpoint import last_checkpoint, list_checkpoints, load_recipe

    if not list_checkpoints(run):
        return False
    recipe = load_recipe(last_checkpoint(run))
    whole = int(last_checkpoint(run).name.rpartition("-")[2]) >= recipe.optim.steps
    return whole and (not recipe.run.report or (run / "report" / "results.json").is_file())


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
