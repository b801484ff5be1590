"""`omnimask scan`: reads a whole collection ahead of time. Imports nothing heavy until it runs."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omnimask.commands.trusting import add_trust_option

if TYPE_CHECKING:
    from omnimask.recipe.recipe import Recipe


def add_scan_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `scan` to the parser of `omnimask`."""
    scan = commands.add_parser("scan", help="read every sample once, and list what is wrong")
    scan.add_argument("source", help="a folder of files, or a recipe (module:function)")
    scan.add_argument(
        "--data", type=Path, default=None, help="folder of your files, in place of data.root"
    )
    scan.add_argument("--out", type=Path, required=True, help="folder of the report and the lists")
    scan.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change a field"
    )
    scan.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)"
    )
    add_trust_option(scan)
    scan.set_defaults(run_command=_scan)


def _scan(arguments: argparse.Namespace) -> None:
    from omnimask.data.scanning import scan

    done = scan(
        _recipe(arguments),
        arguments.out,
        num_workers=arguments.workers,
        progress=lambda line: print(line, file=sys.stderr),
    )
    for one in done:
        said = f"{one.stream}, {one.part}, {one.modality}: {one.samples} samples"
        print(f"{said}, {len(one.wrong)} cannot be read ({one.seconds} s)")
        for name, error in list(one.wrong.items())[:5]:
            print(f"  {name}: {error}")
        if one.wrong and one.listed is not None:
            print(f'  the sound ones, for a recipe: path="{arguments.out / one.listed}"')
    print(f"report: {arguments.out / 'report.json'}")
    if any(one.wrong for one in done):
        raise SystemExit(1)


def _recipe(arguments: argparse.Namespace) -> "Recipe":
    from omnimask.commands.inspect import chosen
    from omnimask.recipe.loading import load_named_recipe
    from omnimask.recipe.recipe import override

    if Path(arguments.source).is_dir():
        recipe = chosen(Path(arguments.source))[1].recipe
    else:
        recipe = load_named_recipe(arguments.source)
    if arguments.data is not None:
        recipe = replace(recipe, data=replace(recipe.data, root=str(arguments.data)))
    return override(recipe, arguments.set)
