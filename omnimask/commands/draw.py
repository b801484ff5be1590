"""`omnimask draw`: the command line of the pictures. Imports nothing heavy until it runs."""

import argparse
from pathlib import Path

from omnimask.commands.trusting import add_trust_option


def add_draw_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `draw masks`, `draw reconstructions` and `draw features` to the parser of `omnimask`."""
    draw = commands.add_parser("draw", help="pictures of masks, reconstructions and features")
    kinds = draw.add_subparsers(required=True, metavar="WHAT")
    masks = kinds.add_parser("masks", help="what a recipe hides, on real samples")
    masks.add_argument(
        "recipe", help="module:function, such as recipes.mae:cpu, or a run folder for its weights"
    )
    masks.add_argument("--out", type=Path, default=None, help="PNG file (<recipe name>-masks.png)")
    masks.add_argument("--samples", type=_at_least_one, default=4, help="of every stream")
    masks.add_argument("--draws", type=_at_least_one, default=4, help="masks of each sample")
    masks.add_argument("--set", action="append", default=[], metavar="PATH=VALUE")
    add_trust_option(masks)
    masks.set_defaults(run_command=_masks)
    restored = kinds.add_parser("reconstructions", help="what a run's last checkpoint fills in")
    restored.add_argument("run", type=Path, help="run folder")
    restored.add_argument("--out", type=Path, default=None, help="PNG (RUN/reconstructions.png)")
    restored.add_argument("--samples", type=_at_least_one, default=4, help="of every stream")
    add_trust_option(restored)
    restored.set_defaults(run_command=_reconstructions)
    features = kinds.add_parser(
        "features", help="components, likeness and attention of a run's tokens"
    )
    features.add_argument("run", type=Path, help="run folder")
    features.add_argument("--out", type=Path, default=None, help="PNG (RUN/features.png)")
    features.add_argument("--samples", type=_at_least_one, default=2, help="of every stream")
    add_trust_option(features)
    features.set_defaults(run_command=_features)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be >= 1, got {number}")
    return number


def _masks(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from omnimask.foundation.errors import RecipeError
    from omnimask.recipe.loading import load_named_recipe
    from omnimask.recipe.recipe import override
    from omnimask.report.drawing.masks import draw_masks, hint_note, mask_model
    from omnimask.report.drawing.sheet import save
    from omnimask.transfer.loading import load_model

    run = Path(arguments.recipe)
    if run.is_dir():
        if arguments.set:
            raise RecipeError(f"--set changes a recipe, but {run} is a run folder; leave it out")
        model = load_model(run)
    else:
        model = mask_model(override(load_named_recipe(arguments.recipe), arguments.set))
    sheet = draw_masks(model, samples=arguments.samples, draws=arguments.draws)
    if not run.is_dir():
        sheet = replace(sheet, note=hint_note(model.recipe))
    out = arguments.out or Path(f"{model.recipe.name}-masks.png")
    print(save(sheet, out))


def _reconstructions(arguments: argparse.Namespace) -> None:
    from omnimask.report.drawing.reconstructions import draw_reconstructions
    from omnimask.report.drawing.sheet import save
    from omnimask.transfer.loading import load_model

    sheet = draw_reconstructions(load_model(arguments.run), samples=arguments.samples)
    print(save(sheet, arguments.out or arguments.run / "reconstructions.png"))


def _features(arguments: argparse.Namespace) -> None:
    from omnimask.report.drawing.feature_sheet import draw_features
    from omnimask.report.drawing.sheet import save
    from omnimask.transfer.loading import load_model

    sheet = draw_features(load_model(arguments.run), samples=arguments.samples)
    print(save(sheet, arguments.out or arguments.run / "features.png"))
