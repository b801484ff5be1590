"""A recipe as Python says the same as the record, whichever recipe it is."""

import pytest

import recipes.capi
import recipes.mae
import recipes.omni
import recipes.vjepa
from omnimask.inspection.source import recipe_source
from omnimask.recipe.recipe import Recipe

RECIPES = {
    "omni": recipes.omni.quickstart,
    "mae": recipes.mae.base,
    "capi": recipes.capi.cpu,
    "vjepa": recipes.vjepa.cpu,
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_source_makes_an_equal_recipe_within_the_width(name: str):
    recipe = RECIPES[name]()
    source = recipe_source(recipe, ["a reason " * 30], file="my/mine.py")
    names: dict[str, object] = {"__name__": "mine"}
    exec(compile(source, "mine.py", "exec"), names)
    mine = names["mine"]
    assert callable(mine)
    again = mine()
    assert isinstance(again, Recipe)
    assert again == recipe
    assert max(map(len, source.splitlines())) <= 100
    assert "omnimask pretrain my/mine.py:mine" in source
