"""`omnimask sweep`: several runs in one folder. Imports nothing heavy until it runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnimask.recipe.recipe import Recipe
    from omnimask.training.several import RunJob
    from omnimask.training.trials import Trial, Trials


def add_sweep_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `sweep` to the parser of `omnimask`."""
    sweep = commands.add_parser(
        "sweep", help="a grid of runs or a search, and a page that compares them"
    )
    sweep.add_argument("recipe", help="module:function, such as recipes.mae:cpu")
    sweep.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="PATH=VALUE,VALUE",
        help="a field and its values, such as masker.ratio=0.5,0.75; may be repeated",
    )
    sweep.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="PATH=SPACE",
        help="in place of --over: a field and where to search, such as optim.lr=log:1e-4:3e-3, "
        "masker.ratio=0.5:0.9, encoder.depth=int:2:6 or a,b,c; may be repeated (needs optuna)",
    )
    sweep.add_argument("--trials", type=int, default=20, help="of a search (%(default)s)")
    wanted = sweep.add_mutually_exclusive_group()
    wanted.add_argument(
        "--minimise",
        metavar="NAME",
        default=None,
        help="what a search is for: a number of metrics.jsonl or a row of the page (loss)",
    )
    wanted.add_argument(
        "--maximise", metavar="NAME", default=None, help="such as probe/image/linear"
    )
    sweep.add_argument("--seeds", type=int, default=1, help="runs of each setting (%(default)s)")
    sweep.add_argument("--jobs", type=int, default=1, help="runs at once (%(default)s)")
    sweep.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="for all of them"
    )
    sweep.add_argument("--out", type=Path, default=None, help="folder (runs/sweep-<recipe name>)")
    sweep.set_defaults(run_command=_sweep)


def _sweep(arguments: argparse.Namespace) -> None:
    from omnimask.foundation.errors import RecipeError
    from omnimask.recipe.loading import load_named_recipe

    if arguments.seeds < 1 or arguments.jobs < 1 or arguments.trials < 1:
        raise RecipeError("sweep: --seeds, --jobs and --trials must be >= 1")
    if arguments.search and arguments.over:
        raise RecipeError("--over is a grid and --search a search; give one of the two")
    if not arguments.search and (arguments.minimise or arguments.maximise):
        raise RecipeError("--minimise and --maximise are for --search; leave them out of a grid")
    recipe = load_named_recipe(arguments.recipe)
    if arguments.out is None:
        arguments.out = Path("runs") / f"sweep-{recipe.name}"
    if arguments.search:
        _search(arguments, recipe)
    else:
        _grid(arguments, recipe)


def _grid(arguments: argparse.Namespace, recipe: "Recipe") -> None:
    from omnimask.recipe.grid import grid
    from omnimask.recipe.recipe import override

    points = grid(arguments.over)
    for point in points:  # before the first run begins, whether every setting can be had
        override(recipe, [*arguments.set, *point])
    jobs = {
        point: [_job(arguments, "+".join(point), point, s) for s in range(arguments.seeds)]
        for point in points
    }
    every = [job for each in jobs.values() for job in each]
    num_done = sum(_is_done(arguments.out / job.name) for job in every)
    print(f"{len(every)} runs in {arguments.out}, {num_done} of them done", flush=True)
    failed = _run(arguments, every)
    groups = {
        arguments.out / job.name: " ".join(point) or recipe.name
        for point, each in jobs.items()
        for job in each
    }
    _finish(arguments, f"{recipe.name}: {' '.join(arguments.over) or 'seeds'}", groups, failed)


def _search(arguments: argparse.Namespace, recipe: "Recipe") -> None:
    from omnimask.foundation.errors import RecipeError
    from omnimask.recipe.recipe import override
    from omnimask.recipe.search_space import read_space
    from omnimask.training.trials import Trials

    spaces = [read_space(said) for said in arguments.search]
    if len({space.path for space in spaces}) < len(spaces):
        raise RecipeError("--search: a field stands there twice")
    for space in spaces:  # before the first run begins, whether both ends can be had
        for assignment in space.ends:
            override(recipe, [*arguments.set, assignment])
    wanted = arguments.maximise or arguments.minimise or "loss"
    said = {
        "recipe": arguments.recipe,
        "search": arguments.search,
        "set": arguments.set,
        "seeds": arguments.seeds,
        "maximise" if arguments.maximise else "minimise": wanted,
    }
    trials = Trials(
        arguments.out, spaces, maximise=bool(arguments.maximise), seed=recipe.seed, said=said
    )
    begun, known = len(trials.all()), len(trials.all()) - len(trials.unfinished())
    print(f"{arguments.trials} trials in {arguments.out}, {known} of them done", flush=True)
    failed = _try(arguments, trials, trials.unfinished(), wanted)
    while begun < arguments.trials:
        batch = [trials.next() for _ in range(min(arguments.jobs, arguments.trials - begun))]
        begun += len(batch)
        failed += _try(arguments, trials, batch, wanted)
    groups = {
        arguments.out / job.name: f"trial {trial.number}: {' '.join(trial.settings)}"
        for trial in trials.all()
        for job in _jobs_of(arguments, trial)
    }
    best, notes = trials.best(), []
    if best is not None:
        named = "highest" if arguments.maximise else "lowest"
        text = f"{named} {wanted}: {best.value:.6g}, trial {best.number}: {' '.join(best.settings)}"
        print(text, flush=True)
        notes.append(text)
    title = f"{recipe.name}: {' '.join(arguments.search)}"
    _finish(arguments, title, groups, failed, notes)


def _try(
    arguments: argparse.Namespace, trials: "Trials", batch: Sequence["Trial"], wanted: str
) -> list["RunJob"]:
    """Runs the trials and tells the search how they did; the jobs that failed."""
    from statistics import fmean

    from omnimask.report.comparing.measure import measure_of
    from omnimask.report.comparing.runs import read_runs

    jobs = {trial.number: _jobs_of(arguments, trial) for trial in batch}
    failed = _run(arguments, [job for each in jobs.values() for job in each])
    for trial in batch:
        each = jobs[trial.number]
        value = None
        if not any(job in failed for job in each):
            runs = read_runs([arguments.out / job.name for job in each])
            value = fmean(measure_of(run, wanted) for run in runs)
        trials.tell(trial, value)
        said = "failed" if value is None else f"{wanted} {value:.6g}"
        print(f"trial {trial.number}: {' '.join(trial.settings)}: {said}", flush=True)
    return failed


def _jobs_of(arguments: argparse.Namespace, trial: "Trial") -> list["RunJob"]:
    name = f"trial-{trial.number:04d}"
    return [_job(arguments, name, trial.settings, seed) for seed in range(arguments.seeds)]


def _run(arguments: argparse.Namespace, jobs: Sequence["RunJob"]) -> list["RunJob"]:
    """Those that are not done yet, and which of them failed."""
    import torch

    from omnimask.training.several import run_all

    due = [job for job in jobs if not _is_done(arguments.out / job.name)]
    statuses = run_all(
        due,
        at_once=arguments.jobs,
        num_gpus=torch.cuda.device_count(),
        said=lambda text: print(text, flush=True),
    )
    return [job for job in due if statuses[job.name]]


def _finish(
    arguments: argparse.Namespace,
    title: str,
    groups: dict[Path, str],
    failed: Sequence["RunJob"],
    notes: Sequence[str] = (),
) -> None:
    """The page of all runs that have begun; OmnimaskError where some failed."""
    from omnimask.foundation.errors import OmnimaskError
    from omnimask.report.comparing.page import write_comparison
    from omnimask.report.comparing.runs import read_runs

    said = [f"{job.name} failed: {_last_line(job.log)}" for job in failed]
    begun = [folder for folder in groups if (folder / "recipe.json").is_file()]
    if begun:
        runs = read_runs(begun, groups)
        page = write_comparison(
            runs, arguments.out / "index.html", title=title, notes=[*notes, *said]
        )
        print(f"page: {page}")
    if failed:
        # A grid tries what failed again; a search goes on without it.
        again = "" if arguments.search else "the same command tries them again. "
        raise OmnimaskError(
            f"{len(failed)} of {len(groups)} runs failed; {again}" + "; ".join(said)
        )


def _job(arguments: argparse.Namespace, name: str, point: Sequence[str], seed: int) -> "RunJob":
    from omnimask.training.several import RunJob

    name = "+".join([name, f"seed={seed}"] if name else [f"seed={seed}"])
    name = name.replace("/", "_").replace(" ", "")
    changes = [*arguments.set, *point, f"seed={seed}"]
    return RunJob(
        name=name,
        arguments=(
            *("pretrain", arguments.recipe, "--out", str(arguments.out / name)),
            *(word for change in changes for word in ("--set", change)),
        ),
        log=arguments.out / "logs" / f"{name}.log",
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
