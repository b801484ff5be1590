"""The `omnimask` command."""

import argparse
import importlib
import inspect
import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from omnimask.complete.command import add_impute_command
from omnimask.draw.command import add_draw_command
from omnimask.embedding.command import add_embed_command
from omnimask.errors import OmnimaskError, RecipeError, nearest_names
from omnimask.exporting.command import add_export_command
from omnimask.finetuning.command import add_finetune_command
from omnimask.importing.command import add_import_command
from omnimask.packages import check_our_packages
from omnimask.probing.command import add_probe_command
from omnimask.searching.command import add_search_commands

if TYPE_CHECKING:
    from omnimask.recipe import Recipe

R = TypeVar("R")


def load_named_recipe(reference: str) -> "Recipe":
    """Calls the function of a recipe of pretraining, as `load_recipe_of` does."""
    from omnimask.recipe import Recipe

    return load_recipe_of(reference, Recipe)


def load_recipe_of(reference: str, *kinds: type[R]) -> R:
    """Calls the recipe function named by `package.module:function`, such as recipes.omni:omni,
    which must return one of `kinds`.

    A third part is the function's argument: `recipes.mae:cpu:audio` calls `cpu("audio")`.
    """
    module_name, colon, rest = reference.partition(":")
    function, _, argument = rest.partition(":")
    if not colon:
        raise RecipeError(f"a recipe is named module:function, got {reference!r}")
    sys.path.insert(0, str(Path.cwd()))  # a user's own module beside the data
    check_our_packages()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise RecipeError(
            f"there is no module {module_name!r}; `omnimask recipes` lists those that come along"
        ) from error
    known = [
        name
        for name, value in vars(module).items()
        if isinstance(value, types.FunctionType) and value.__module__ == module_name
    ]
    if function not in known:
        raise RecipeError(
            f"{module_name} has no recipe {function!r}; {nearest_names(function, known)}"
        )
    recipe = _call(vars(module)[function], argument, reference)
    if not isinstance(recipe, kinds):
        raise RecipeError(
            f"{reference} returned a {type(recipe).__name__}, not a "
            f"{' or '.join(kind.__name__ for kind in kinds)}; `omnimask pretrain` takes a Recipe, "
            "`omnimask finetune` a FinetuneRecipe"
        )
    return recipe


def _call(function: types.FunctionType, argument: str, reference: str) -> object:
    """The recipe; an argument must be one of the module's MODALITIES, where it has them."""
    if not argument:
        return function()
    if not inspect.signature(function).parameters:
        raise RecipeError(
            f"{reference}: {function.__name__} takes no argument; write "
            f"{function.__module__}:{function.__name__}"
        )
    known = function.__globals__.get("MODALITIES")
    if known is not None and argument not in known:
        raise RecipeError(
            f"{function.__module__} works on {', '.join(known)}, got {argument!r}; "
            f"{nearest_names(argument, known)}"
        )
    return function(argument)


def _pretrain(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from omnimask.recipe import override
    from omnimask.start import read_starts

    recipe = load_named_recipe(arguments.recipe)
    if arguments.start:
        recipe = replace(recipe, start=read_starts(arguments.start))
    recipe = override(recipe, arguments.set)
    if arguments.dry_run:
        from omnimask.dry_run import describe

        print(describe(recipe))
        return
    from omnimask.pretraining import pretrain

    pretrain(recipe, arguments.out)


def _report(arguments: argparse.Namespace) -> None:
    from omnimask.report import write_report

    print(write_report(arguments.run))


def _doctor(arguments: argparse.Namespace) -> None:
    from omnimask.doctor import diagnose

    print(diagnose())


def _recipes(arguments: argparse.Namespace) -> None:
    from omnimask.catalogue import list_recipes

    print(list_recipes())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="omnimask", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    pretrain = commands.add_parser("pretrain", help="train a recipe, or go on with a run")
    pretrain.add_argument("recipe", help="module:function, such as recipes.omni:quickstart")
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
        help="print the resolved recipe, tokens, parameters, FLOPs and memory; train nothing",
    )
    pretrain.set_defaults(run_command=_pretrain)
    report = commands.add_parser("report", help="write a run's report again")
    report.add_argument("run", type=Path, help="run folder")
    report.set_defaults(run_command=_report)
    add_draw_command(commands)
    add_finetune_command(commands)
    add_export_command(commands)
    add_import_command(commands)
    add_impute_command(commands)
    add_embed_command(commands)
    add_search_commands(commands)
    add_probe_command(commands)
    doctor = commands.add_parser("doctor", help="what is installed and what is missing")
    doctor.set_defaults(run_command=_doctor)
    recipes = commands.add_parser("recipes", help="the recipes that come along")
    recipes.set_defaults(run_command=_recipes)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; an `OmnimaskError` is printed without a traceback and gives exit status 2."""
    parsed = _parser().parse_args(arguments)
    # Before torch is loaded: OpenMP threads that wait should spin briefly and then sleep. Loader
    # workers share their cores, and long spinning can make a step many times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        parsed.run_command(parsed)
    except OmnimaskError as error:
        print(f"omnimask: {error}", file=sys.stderr)
        return 2
    return 0
