"""`omnimask new`: a package of one's own to begin with. Imports nothing heavy."""

import argparse
from pathlib import Path


def add_new_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `new` to the parser of `omnimask`."""
    new = commands.add_parser("new", help="a package with a modality or method of your own")
    new.add_argument("kind", choices=("modality", "method"))
    new.add_argument("name", help="such as radar")
    new.add_argument("--out", type=Path, default=None, help="new folder (omnimask-<name>)")
    new.set_defaults(run_command=_new)


def _new(arguments: argparse.Namespace) -> None:
    from omnimask.templates.write import write_template

    folder = arguments.out or Path(f"omnimask-{arguments.name}")
    for path in write_template(arguments.kind, arguments.name, folder):
        print(path)
    print(f"\nits tests:   cd {folder} && python -m pytest")
    print(f"install it:  uv pip install -e {folder}   (omnimask then lists it by itself)")
