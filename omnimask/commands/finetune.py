"""`omnimask finetune`: a supervised run and its report. Imports nothing heavy until it runs."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omnimask.commands.trusting import add_trust_option

if TYPE_CHECKING:
    from omnimask.transfer.finetuning.recipe import FinetuneRecipe
    from omnimask.transfer.pretrained_encoder import PretrainedEncoder


def finetune(
    recipe: "FinetuneRecipe",
    out: Path | str | None = None,
    *,
    encoder: "PretrainedEncoder | Path | str | None" = None,
) -> Path:
    """Trains into `out` (runs/<recipe name> by default), measures on held-out samples; returns it.

    `encoder`: a run, a checkpoint, an encoder folder or an encoder in memory; None is from scratch,
    or to go on with the run in `out`. `out/results.json` has the scores, `out/report/` the page.
    The packages of the recipe's parts, and of an encoder in memory, are trusted from now on.
    """
    from omnimask.foundation.reloading import trust_parts

    trust_parts(recipe)
    trust_parts(getattr(encoder, "info", None))
    return _train_and_measure(recipe, out, encoder)


def _train_and_measure(
    recipe: "FinetuneRecipe",
    out: Path | str | None,
    encoder: "PretrainedEncoder | Path | str | None",
) -> Path:
    from omnimask.report.finetuned import write_finetune_report
    from omnimask.training.checkpoint import list_checkpoints
    from omnimask.training.loop import carry_out
    from omnimask.training.progress import is_main_process
    from omnimask.transfer.finetuning.job import FineTuning
    from omnimask.transfer.finetuning.results import evaluate_run
    from omnimask.transfer.loading import load_encoder
    from omnimask.transfer.pretrained_encoder import PretrainedEncoder

    out = Path("runs") / recipe.name if out is None else Path(out)
    start = encoder if isinstance(encoder, PretrainedEncoder) else None
    if encoder is not None and start is None:
        assert not isinstance(encoder, PretrainedEncoder)
        start = load_encoder(encoder)
    if start is not None:
        recipe = replace(
            recipe, start=f"{start.info.name} {start.hash()}", encoder=start.info.encoder
        )
    elif list_checkpoints(out):
        recipe = _as_begun(recipe, out)
    carry_out(FineTuning(recipe=recipe, start=start), out)
    if is_main_process():
        evaluate_run(out)
        if recipe.run.report:
            print(f"report: {write_finetune_report(out)}")
    return out


def _as_begun(recipe: "FinetuneRecipe", out: Path) -> "FinetuneRecipe":
    """A run that began from an encoder goes on without it: its weights are in the checkpoint."""
    from omnimask.transfer.finetuning.classifier import find_checkpoint

    begun = find_checkpoint(out).recipe
    return replace(recipe, start=begun.start, encoder=begun.encoder) if begun.start else recipe


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
    add_trust_option(finetune)
    finetune.set_defaults(run_command=_finetune)


def _finetune(arguments: argparse.Namespace) -> None:
    from omnimask.recipe.loading import load_recipe_of
    from omnimask.recipe.recipe import override
    from omnimask.transfer.finetuning.recipe import FinetuneRecipe
    from omnimask.transfer.finetuning.results import read_results

    recipe = load_recipe_of(arguments.recipe, FinetuneRecipe)
    recipe = override(recipe, arguments.set)
    out = _train_and_measure(recipe, arguments.out, arguments.encoder)
    for stream, part in read_results(out)["streams"].items():
        for name, score in part["scores"].items():
            print(f"{stream} {name}: {score['value']:.3f} ({score['low']:.3f}-{score['high']:.3f})")
