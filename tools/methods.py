"""The methods of `recipes/` at their small size, found in the recipes' sources: what tools that go
through all of them begin with.
"""

import importlib
import re
from functools import cache

from omnimask.recipe.catalogue import find_recipes
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import FrozenTeacher

_TEACHER = re.compile(r"^runs/([\w-]+)-cpu-(\w+)$")


@cache
def methods() -> dict[str, str]:
    """By method, its small recipe as the command line names it.

    `recipes.mae:cpu` is the method mae, `recipes.beit:tokenizer_cpu` beit-tokenizer.
    """
    found = {}
    for entry in find_recipes():
        module, _, function = entry.reference.removeprefix("recipes.").partition(":")
        if function == "cpu" or function.endswith("_cpu"):
            part = function.removesuffix("cpu").strip("_")
            found["-".join(filter(None, (module, part)))] = entry.reference
    return found


def small_recipe_of(method: str, modality: str | None = None) -> Recipe:
    """On its own modality, or on another one that it takes."""
    module, _, function = methods()[method].partition(":")
    recipe = getattr(importlib.import_module(module), function)
    return recipe() if modality is None else recipe(modality)


def modalities_of(method: str) -> tuple[str, ...]:
    """What its small recipe can be asked for."""
    module = methods()[method].partition(":")[0]
    return importlib.import_module(module).MODALITIES


def teacher_of(recipe: Recipe) -> str | None:
    """The method whose small run is its teacher."""
    if isinstance(recipe.teacher, FrozenTeacher) and recipe.teacher.run is not None:
        found = _TEACHER.match(recipe.teacher.run)
        return found and found.group(1)
    return None


def teachers_first(names: list[str]) -> list[str]:
    """The same methods, and those that they need as teachers, each after its teacher."""
    ordered: list[str] = []

    def add(name: str) -> None:
        teacher = teacher_of(small_recipe_of(name))
        if teacher is not None:
            add(teacher)
        if name not in ordered:
            ordered.append(name)

    for name in names:
        add(name)
    return ordered
