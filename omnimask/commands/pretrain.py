"""`omnimask pretrain`: training and what follows it. Imports nothing heavy until it runs."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omnimask.commands.trusting import add_trust_option

if TYPE_CHECKING:
    from omnimask.recipe.recipe import Recipe


def pretrain(recipe: "Recipe", out: Path | str | None = None) -> Path:
    """Trains into `out` (runs/<recipe name> by default), then writes the report; returns `out`.

    The packages of the recipe's parts are trusted from now on, in this process.
    """
    from omnimask.foundation.reloading import trust_parts

    trust_parts(recipe)
    return _train_and_report(recipe, out)


def _train_and_report(recipe: "Recipe", out: Path | str | None) -> Path:
    from omnimask.report.write import write_report
    from omnimask.training.progress import is_main_process

    out = Path("runs") / recipe.name if out is None else Path(out)
    train(recipe, out)
    if recipe.run.report and is_main_process():
        print(f"report: {write_report(out)}")
    return out


def train(recipe: "Recipe", out: Path) -> Path:
    """Pretrains by `recipe` in the run folder `out`, from the encoders that `recipe.start` names,
    with probes and pictures as often as `recipe.run` says; the rest is as
    `training.loop.carry_out` says.
    """
    from omnimask.report.drawing.in_training import training_pictures
    from omnimask.training.loop import carry_out
    from omnimask.training.pretraining import Pretraining
    from omnimask.transfer.probing.in_training import TrainingProbes
    from omnimask.transfer.warm_start import open_starts

    job = Pretraining(recipe=recipe, starts=open_starts)
    return carry_out(job, out, TrainingProbes, training_pictures)


def add_pretrain_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `pretrain` to the parser of `omnimask`."""
    pretrain = commands.add_parser("pretrain", help="train a recipe, or go on with a run")
    pretrain.add_argument(
        "recipe",
        nargs="?",
        default=None,
        help="module:function, such as recipes.omni:quickstart; left out, one is chosen for --data",
    )
    pretrain.add_argument(
        "--data", type=Path, default=None, help="folder of your files, in place of data.root"
    )
    pretrain.add_argument(
        "--write", type=Path, default=None, help="the chosen recipe's file, such as mine.py"
    )
    pretrain.add_argument("--out", type=Path, default=None, help="run folder (runs/<recipe name>)")
    pretrain.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change a field, such as --set optim.lr=1e-4; may be repeated",
    )
    pretrain.add_argument(
        "--start",
        action="append",
        default=[],
        metavar="[NAMES=]FOLDER",
        help="begin with the weights of a run, checkpoint or encoder; image=FOLDER takes only that "
        "tokenizer; blocks come from the first; may be repeated",
    )
    pretrain.add_argument(
        "--dry-run",
        action="store_true",
        help="print a step's tokens, parameters, FLOPs and memory; train nothing",
    )
    pretrain.add_argument(
        "--json", action="store_true", help="with --dry-run: print the resolved recipe instead"
    )
    pretrain.add_argument(
        "--devices",
        type=int,
        default=None,
        metavar="N",
        help="with --dry-run: what N devices would need, and what binds",
    )
    pretrain.add_argument(
        "--device", default="h200", help="with --devices: a100, h100, h200 (the default) or b200"
    )
    pretrain.add_argument("--fsdp", action="store_true", help="with --devices: weights are shared")
    add_trust_option(pretrain)
    pretrain.set_defaults(run_command=_pretrain)


def _pretrain(arguments: argparse.Namespace) -> None:
    from omnimask.foundation.errors import RecipeError
    from omnimask.recipe.loading import load_named_recipe
    from omnimask.recipe.recipe import override
    from omnimask.recipe.start import read_starts

    if arguments.devices is not None and not arguments.dry_run:
        raise RecipeError("--devices asks what a run would need; write --dry-run --devices")
    if arguments.json and not arguments.dry_run:
        raise RecipeError("--json prints a recipe that is not trained; write --dry-run --json")
    if arguments.recipe is None:
        recipe = _chosen(arguments)
    elif arguments.write is not None:
        raise RecipeError("--write is for a recipe that is chosen for --data; leave one out")
    else:
        recipe = load_named_recipe(arguments.recipe)
        if arguments.data is not None:
            recipe = replace(recipe, data=replace(recipe.data, root=str(arguments.data)))
    if arguments.start:
        recipe = replace(recipe, start=read_starts(arguments.start))
    recipe = override(recipe, arguments.set)
    if arguments.dry_run:
        print(_dry_run_text(recipe, arguments))
        return
    _train_and_report(recipe, arguments.out)


def _dry_run_text(recipe: "Recipe", arguments: argparse.Namespace) -> str:
    from omnimask.commands.dry_run import forecast_text, recipe_text, step_text
    from omnimask.foundation.errors import RecipeError, nearest_names
    from omnimask.training.forecast import DEVICES

    if arguments.devices is None:
        return recipe_text(recipe) if arguments.json else step_text(recipe)
    if arguments.device not in DEVICES:
        hint = nearest_names(arguments.device, DEVICES)
        raise RecipeError(f"--device {arguments.device} is unknown; {hint}")
    if arguments.devices < 1:
        raise RecipeError(f"--devices must be >= 1, got {arguments.devices}")
    return forecast_text(
        recipe, devices=arguments.devices, device=arguments.device, sharded=arguments.fsdp
    )


def _chosen(arguments: argparse.Namespace) -> "Recipe":
    """The recipe for the files of a folder; says what was found and what was chosen."""
    from omnimask.commands.inspect import chosen
    from omnimask.foundation.errors import RecipeError
    from omnimask.inspection.source import recipe_source
    from omnimask.inspection.text import found_text

    if arguments.data is None:
        raise RecipeError(
            "pretrain takes a recipe, or --data FOLDER for one that fits your files; "
            "`omnimask recipes` lists those that come along"
        )
    if arguments.write is not None and arguments.write.exists():
        raise RecipeError(f"--write: {arguments.write} is there already; name another file")
    found, choice = chosen(arguments.data)
    file = arguments.write or Path("mine.py")
    source = recipe_source(choice.recipe, choice.reasons, file=str(file))
    if not arguments.json:
        print(f"{found_text(found)}\n\n{source}", flush=True)
    if arguments.write is not None:
        file.write_text(source, encoding="utf-8")
    return choice.recipe
