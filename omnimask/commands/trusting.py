"""`--trust`: whose parts a saved recipe or encoder may name. Imports nothing heavy."""

import argparse


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--trust` to a command that reads what was saved."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="also load parts of this package (or file, my_parts.py), in the working folder or "
        "installed, which runs its code; may be repeated",
    )


def trust_what_was_said(arguments: argparse.Namespace) -> None:
    """RecipeError for a file that is not there. Of a command without the option, nothing."""
    from omnimask.foundation.trust import trust_named

    for said in getattr(arguments, "trust", ()):
        trust_named(said)
