"""Training and what follows it: the whole job of `omnimask pretrain`."""

from pathlib import Path

from accelerate import PartialState

from omnimask.recipe import Recipe
from omnimask.report import write_report
from omnimask.trainer import train


def pretrain(recipe: Recipe, out: Path | str | None = None) -> Path:
    """Trains into `out` (runs/<recipe name> by default), then writes the report; returns `out`."""
    out = Path("runs") / recipe.name if out is None else Path(out)
    train(recipe, out)
    if recipe.run.report and PartialState().is_main_process:
        print(f"report: {write_report(out)}")
    return out
