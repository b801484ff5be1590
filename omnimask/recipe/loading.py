"""Recipes by the names that people give them on a command line."""

import importlib
import inspect
import types
from typing import TypeVar

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.foundation.packages import check_our_packages
from omnimask.foundation.trust import trust_named
from omnimask.recipe.recipe import Recipe

R = TypeVar("R")


def load_named_recipe(reference: str) -> Recipe:
    """Calls the function of a recipe of pretraining, as `load_recipe_of` does."""
    return load_recipe_of(reference, Recipe)


def load_recipe_of(reference: str, *kinds: type[R]) -> R:
    """Calls the recipe function named by `package.module:function`, such as recipes.omni:omni, or
    by its file, my_recipes.py:mine; it must return one of `kinds`. Its package is trusted from now.

    A third part is the function's argument: `recipes.mae:cpu:audio` calls `cpu("audio")`.
    """
    said, colon, rest = reference.partition(":")
    function, _, argument = rest.partition(":")
    if not colon:
        raise RecipeError(f"a recipe is named module:function, got {reference!r}")
    module_name = trust_named(said)
    check_our_packages()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise RecipeError(
            f"there is no module {module_name!r}; `omnimask recipes` lists those that come along"
        ) from error
    known = [
        name
        for name, value in vars(module).items()
        if isinstance(value, types.FunctionType) and value.__module__ == module_name
    ]
    if function not in known:
        raise RecipeError(
            f"{module_name} has no recipe {function!r}; {nearest_names(function, known)}"
        )
    recipe = _call(vars(module)[function], argument, reference)
    if not isinstance(recipe, kinds):
        raise RecipeError(
            f"{reference} returned a {type(recipe).__name__}, not a "
            f"{' or '.join(kind.__name__ for kind in kinds)}; `omnimask pretrain` takes a Recipe, "
            "`omnimask finetune` a FinetuneRecipe"
        )
    return recipe


def _call(function: types.FunctionType, argument: str, reference: str) -> object:
    """The recipe; an argument must be one of the module's MODALITIES, where it has them."""
    if not argument:
        return function()
    if not inspect.signature(function).parameters:
        raise RecipeError(
            f"{reference}: {function.__name__} takes no argument; write "
            f"{function.__module__}:{function.__name__}"
        )
    known = function.__globals__.get("MODALITIES")
    if known is not None and argument not in known:
        raise RecipeError(
            f"{function.__module__} works on {', '.join(known)}, got {argument!r}; "
            f"{nearest_names(argument, known)}"
        )
    return function(argument)
