"""Whether the packages called `modalities` and `recipes` are ours.

Both are common words: an unrelated project on the package index installs a package `modalities`,
and a folder of that name in the working directory comes before an installed one.
"""

import ast
import importlib.util
from pathlib import Path

from omnimask.foundation.errors import RecipeError

OURS = ("modalities", "recipes")


def package_folder(name: str) -> Path | None:
    """Where `import name` would look, without importing it; None if there is no such package."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def is_ours(folder: Path) -> bool:
    """Whether the package's `__init__.py` says `PART_OF = "omnimask"`."""
    path = folder / "__init__.py"
    if not path.is_file():
        return False
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            if names == ["PART_OF"] and statement.value.value == "omnimask":
                return True
    return False


def what_is_wrong(name: str) -> str:
    """A sentence on how to mend the package `name`, or "" if it is ours."""
    folder = package_folder(name)
    if folder is None:
        return (
            f"the package {name!r} is missing; install omnimask again "
            "(`uv pip install -e .` in its checkout)"
        )
    if is_ours(folder):
        return ""
    return (
        f"`import {name}` finds {folder}, which is not part of omnimask; if it was installed, run "
        f"`uv pip uninstall {name}` and then `uv pip install -e .` in omnimask's checkout; if it "
        "is a folder of your own, rename it or start omnimask from another directory"
    )


def check_our_packages() -> None:
    """RecipeError if `modalities` or `recipes` is another project's package."""
    for name in OURS:
        if wrong := what_is_wrong(name):
            raise RecipeError(wrong)
