"""`omnimask inspect`: what lies in a folder. Imports nothing heavy until it runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnimask.inspection.choice import Choice
    from omnimask.inspection.folder import Found


def add_inspect_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `inspect` to the parser of `omnimask`."""
    inspect = commands.add_parser("inspect", help="what a folder of files holds, and a recipe")
    inspect.add_argument("data", type=Path, help="the folder")
    inspect.add_argument(
        "--out", type=Path, default=None, help="HTML page (runs/inspect-<folder>.html)"
    )
    inspect.add_argument(
        "--most", type=int, default=1000, help="files of each modality to look at (%(default)s)"
    )
    inspect.set_defaults(run_command=_inspect)


def chosen(data: Path, *, most: int = 1000) -> "tuple[Found, Choice]":
    """What is in a folder, and the recipe for it on this machine."""
    import torch

    from omnimask.inspection.choice import budget_of, choose
    from omnimask.inspection.folder import look_into
    from omnimask.inspection.inspectors import find_inspectors

    inspectors = find_inspectors()
    found = look_into(data, inspectors, most=most)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return found, choose(found, inspectors, budget_of(device))


def _inspect(arguments: argparse.Namespace) -> None:
    from omnimask.commands.dry_run import step_text
    from omnimask.inspection.page import found_page
    from omnimask.inspection.source import recipe_source
    from omnimask.inspection.text import found_text
    from omnimask.report.drawing.masks import draw_masks, mask_model

    found, choice = chosen(arguments.data, most=arguments.most)
    print(found_text(found), flush=True)
    step = step_text(choice.recipe)
    print(f"\n{step}", flush=True)
    page = found_page(
        found,
        choice,
        masks=draw_masks(mask_model(choice.recipe), samples=4, draws=2),
        step=step,
        source=recipe_source(choice.recipe, choice.reasons),
    )
    out = arguments.out or Path("runs") / f"inspect-{arguments.data.resolve().name}.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    print(f"\npage: {out}")
