"""`omnimask report`: a run's page, written again. Imports nothing heavy until it runs."""

import argparse
from pathlib import Path

from omnimask.commands.trusting import add_trust_option


def add_report_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `report` to the parser of `omnimask`."""
    report = commands.add_parser("report", help="write a run's report again")
    report.add_argument("run", type=Path, help="run folder")
    add_trust_option(report)
    report.set_defaults(run_command=_report)


def _report(arguments: argparse.Namespace) -> None:
    from omnimask.report.write import write_report

    print(write_report(arguments.run))
