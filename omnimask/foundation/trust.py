"""Which packages a saved recipe may name: loading imports them and calls their classes.

Our own are always trusted. The module that somebody names on a command line is, with its package,
since it is run anyway; so are the packages of installed plug-ins (entry points in the group
`omnimask.plugins`), and in Python those of a recipe that is handed over. Anything else has to be
said: `--trust my_parts`, or `trust("my_parts")`.
"""

import sys
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from omnimask.foundation.errors import RecipeError

OUR_PACKAGES = ("omnimask", "modalities", "recipes")
PLUGINS = "omnimask.plugins"

_trusted: set[str] = set()


def trust(module: str) -> None:
    """Lets saved recipes name parts of this module's package from now on, in this process."""
    _trusted.add(_package(module))


def trust_named(said: str) -> str:
    """Trusts a module as a command line names it, and puts where it lies on the path.

    `said` is its name, looked for in the working folder too, or its file: `parts/my_parts.py`.
    Returns its name; RecipeError for a file that is not there or cannot be imported by its name.
    """
    name, folder = _name_and_folder(Path(said)) if said.endswith(".py") else (said, Path.cwd())
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if said.endswith(".py"):
        spec = find_spec(name)
        found = None if spec is None else spec.origin
        if found is None or not Path(found).samefile(said):
            raise RecipeError(
                f"{said} would be imported as {name!r}, but that is {found}; rename your file"
            )
    trust(name)
    return name


def _name_and_folder(file: Path) -> tuple[str, Path]:
    """The module's name and the folder in which it, or its outermost package, lies."""
    if not file.is_file():
        raise RecipeError(f"there is no file {file.absolute()}")
    names, folder = [file.stem], file.resolve().parent
    while (folder / "__init__.py").is_file():
        names, folder = [folder.name, *names], folder.parent
    return ".".join(names), folder


def trusted_packages() -> tuple[str, ...]:
    """Ours first; then what was said, and installed plug-ins."""
    return (*OUR_PACKAGES, *sorted((_trusted | _plugins()).difference(OUR_PACKAGES)))


@cache
def plugin_modules() -> tuple[str, ...]:
    """The modules that entry points of installed plug-ins name, not imported."""
    return tuple(sorted({entry.module for entry in entry_points(group=PLUGINS)}))


def _plugins() -> set[str]:
    return {_package(module) for module in plugin_modules()}


def _package(module: str) -> str:
    return module.partition(".")[0]


def check_trusted(module: str, saved: str) -> None:
    """RecipeError unless parts of `module` may be loaded; `saved` is a part's name in a file."""
    package = _package(module)
    if package in trusted_packages():
        return
    raise RecipeError(
        f"{saved!r} is of a package that is not trusted, and loading it from a saved recipe runs "
        f"its code; trusted are {', '.join(trusted_packages())}. If you trust {package!r} too, add "
        f"--trust {package} to the command, or in Python call "
        f'omnimask.foundation.trust.trust("{package}") first'
    )
