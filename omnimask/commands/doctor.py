"""`omnimask doctor`: what is installed and what is missing. Imports nothing heavy until it runs."""

import argparse


def add_doctor_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `doctor` to the parser of `omnimask`."""
    doctor = commands.add_parser("doctor", help="what is installed and what is missing")
    doctor.add_argument(
        "recipes",
        nargs="*",
        metavar="RECIPE",
        help="also who reads the files of this recipe's modalities (my_recipes.py:mine)",
    )
    doctor.set_defaults(run_command=_doctor)


def _doctor(arguments: argparse.Namespace) -> None:
    from omnimask.commands.diagnosis import diagnose

    print(diagnose(arguments.recipes))
