"""`omnimask compare`: several runs on one page. Imports nothing heavy until it runs."""

import argparse
from pathlib import Path

from omnimask.commands.trusting import add_trust_option


def add_compare_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `compare` to the parser of `omnimask`."""
    compare = commands.add_parser("compare", help="several runs on one page")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    compare.add_argument(
        "--out", type=Path, default=Path("runs/compare.html"), help="HTML page (%(default)s)"
    )
    add_trust_option(compare)
    compare.set_defaults(run_command=_compare)


def _compare(arguments: argparse.Namespace) -> None:
    from omnimask.report.comparing.page import write_comparison
    from omnimask.report.comparing.runs import read_runs

    runs = read_runs(arguments.runs)
    title = " and ".join(run.name for run in runs) if len(runs) < 4 else "Runs compared"
    print(f"page: {write_comparison(runs, arguments.out, title=title)}")
