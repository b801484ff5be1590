"""`omnimask impute`: the command line. Imports nothing heavy until it runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from omnimask.commands.trusting import add_trust_option

if TYPE_CHECKING:
    from omnimask.transfer.imputing.request import Hide


def add_impute_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `impute` to the parser of `omnimask`."""
    impute = commands.add_parser(
        "impute", help="fill a table's missing cells, or the hidden part of another file"
    )
    impute.add_argument("run", type=Path, help="run folder, or a checkpoint in it")
    impute.add_argument("path", type=Path, help="a file of a modality of the run")
    impute.add_argument("--out", type=Path, required=True, help="file to write")
    impute.add_argument("--modality", default=None, help="where several read such files")
    impute.add_argument("--seed", type=int, default=0, help="of draws and of --ratio")
    tables = impute.add_argument_group("tables")
    tables.add_argument("--draws", type=int, default=10, help="for the uncertainty; 0: none")
    tables.add_argument("--draw-share", type=float, default=0.3, help="hidden of observed cells")
    tables.add_argument("--keep", action="append", default=[], help="column to leave as it is")
    tables.add_argument("--delimiter", default=None, help="of CSV files (found in the first line)")
    tables.add_argument("--encoding", default="utf-8", help="of CSV files")
    hide = impute.add_argument_group("what is hidden of other files")
    hide.add_argument("--mask", type=Path, default=None, help="picture of the same size; white")
    hide.add_argument("--ratio", type=float, default=None, help="share of all tokens")
    hide.add_argument("--hide-seconds", type=_seconds, default=None, metavar="FROM-TO")
    hide.add_argument(
        "--hide-box", type=_numbers, default=None, metavar="A,B,...", help="two corners"
    )
    add_trust_option(impute)
    impute.set_defaults(run_command=_impute)


def _seconds(text: str) -> tuple[float, float]:
    first, _, last = text.partition("-")
    return float(first), float(last)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _impute(arguments: argparse.Namespace) -> None:
    from omnimask.foundation.packages import check_our_packages
    from omnimask.transfer.imputing.file import impute_file
    from omnimask.transfer.imputing.request import Request
    from omnimask.transfer.loading import load_model

    check_our_packages()
    request = Request(
        path=arguments.path,
        out=arguments.out,
        hide=_hide(arguments),
        draws=arguments.draws,
        draw_share=arguments.draw_share,
        seed=arguments.seed,
        keep=tuple(arguments.keep),
        delimiter=arguments.delimiter,
        encoding=arguments.encoding,
    )
    done = impute_file(load_model(arguments.run), request, modality=arguments.modality)
    for note in done.notes:
        print(note)
    for path in done.files:
        print(path)


def _hide(arguments: argparse.Namespace) -> "Hide | None":
    from omnimask.transfer.imputing.request import Hide

    given = (arguments.mask, arguments.ratio, arguments.hide_seconds, arguments.hide_box)
    if all(value is None for value in given):
        return None
    return Hide(
        mask=arguments.mask,
        ratio=arguments.ratio,
        box=arguments.hide_box,
        seconds=arguments.hide_seconds,
        seed=arguments.seed,
    )
