"""`omnimask finetune`: the command line of supervised runs. Imports nothing heavy until it runs."""

import argparse
from pathlib import Path


def add_finetune_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `finetune` to the parser of `omnimask`."""
    finetune = commands.add_parser(
        "finetune", help="train an encoder on labelled samples, or go on with such a run"
    )
    finetune.add_argument(
        "recipe",
        help="module:function, such as recipes.finetune:image or recipes.segmentation:points",
    )
    finetune.add_argument(
        "--encoder",
        type=Path,
        default=None,
        help="a run, a checkpoint or an encoder folder; without it, from scratch",
    )
    finetune.add_argument("--out", type=Path, default=None, help="run folder (runs/<recipe name>)")
    finetune.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change a field, such as --set label_share=0.1; may be repeated",
    )
    finetune.set_defaults(run_command=_finetune)


def _finetune(arguments: argparse.Namespace) -> None:
    from omnimask.cli import load_recipe_of
    from omnimask.finetuning.recipe import FinetuneRecipe
    from omnimask.finetuning.run import finetune, read_results
    from omnimask.recipe import override

    recipe = load_recipe_of(arguments.recipe, FinetuneRecipe)
    recipe = override(recipe, arguments.set)
    out = finetune(recipe, arguments.out, encoder=arguments.encoder)
    for stream, part in read_results(out)["streams"].items():
        for name, score in part["scores"].items():
            print(f"{stream} {name}: {score['value']:.3f} ({score['low']:.3f}-{score['high']:.3f})")
