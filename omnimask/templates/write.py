"""A package of one's own with a modality or a method that works, to be changed from there on."""

import re
from pathlib import Path
from typing import Literal

from omnimask.foundation.errors import RecipeError

Kind = Literal["modality", "method"]
_HERE = Path(__file__).parent
# By kind, the file of this folder and where it goes in the package.
_FILES: dict[str, dict[str, str]] = {
    "modality": {
        "modality.py": "{package}/modality.py",
        "modality_recipes.py": "{package}/recipes.py",
        "modality_test.py": "tests/test_modality.py",
    },
    "method": {"method.py": "{package}/method.py", "method_test.py": "tests/test_method.py"},
}
# The core knows no recipe, so that this one stands here as text.
_METHOD_RECIPES = '''"""Recipes of example; its paper, code and every deviation belong here."""

from dataclasses import replace

import recipes.mae
from omnimask.recipe.recipe import Recipe
from omnimask.templates.method import ExampleMask


def cpu(modality: str = "image") -> Recipe:
    """MAE with another mask, on the sample data of one modality.

    Modalities: all of the sample data (the argument)
    Paper: none
    Status: works; not tuned
    """
    recipe = recipes.mae.cpu(modality)
    return replace(recipe, name=f"example-cpu-{modality}", masker=ExampleMask())
'''
_PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["omnimask"]

# Makes the package known to omnimask: its parts may be loaded from saved recipes without --trust,
# and its recipes, readers and inspector are listed beside omnimask's own.
[project.entry-points."omnimask.plugins"]
{name} = "{package}.{module}"

[tool.setuptools.packages.find]
include = ["{package}*"]
"""


def write_template(kind: Kind, name: str, folder: Path) -> list[Path]:
    """Writes the package into the new folder `folder`, and returns its files.

    RecipeError for a name that is no name in Python, and for a folder that is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise RecipeError(f"a {kind} is named like radar or lidar_4d, got {name!r}")
    if folder.exists():
        raise RecipeError(f"{folder} is there already; name another with --out")
    package = f"omnimask_{name}"
    texts = {
        place.format(package=package): (_HERE / file).read_text(encoding="utf-8")
        for file, place in _FILES[kind].items()
    }
    if kind == "method":
        texts[f"{package}/recipes.py"] = _METHOD_RECIPES
    texts = {place: _named(text, name, package) for place, text in texts.items()}
    texts[f"{package}/__init__.py"] = f'"""{name}, for omnimask."""\n'
    texts["pyproject.toml"] = _PROJECT.format(
        distribution=package.replace("_", "-"), name=name, package=package, module=kind
    )
    for place, text in texts.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    return [folder / place for place in sorted(texts)]


def _named(text: str, name: str, package: str) -> str:
    """The example's text with another name in the place of its own."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    text = text.replace("omnimask.templates.modality_recipes", f"{package}.recipes")
    text = text.replace("omnimask.templates", package)
    text = re.sub(r"\bexample(?=\b|_|-)", name, text)
    return re.sub(r"\bExample(?=[A-Z\b]|:)", camel, text)
