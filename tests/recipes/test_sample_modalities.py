"""One record for each modality of the sample data, from which every list of them follows."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.masking import PerModality
from omnimask.sample_data import PARTS
from recipes import small
from recipes.sample_modalities import SAMPLE_MODALITIES, mixed_modalities, sample_modality


@pytest.mark.parametrize("name", SAMPLE_MODALITIES)
def test_a_record_agrees_with_itself(name: str):
    record = sample_modality(name)
    assert record.small.name == record.published.name == name
    assert type(record.small) is type(record.published)
    assert record.folder in PARTS
    record.masker.check(record.small.grid, name)


def test_an_unknown_name_is_refused():
    with pytest.raises(RecipeError, match=r"no modality 'sound'.*audio"):
        small.stream("sound")
    with pytest.raises(RecipeError, match="'points' stand on no grid"):
        small.grid("points")


@pytest.fixture
def with_one_more() -> Iterator[ModuleType]:
    """The recipes as they are where an eighth part of the sample data has a record."""
    before = {name: module for name, module in sys.modules.items() if name.startswith("recipes")}
    for name in before:
        del sys.modules[name]
    registered = importlib.import_module("recipes.sample_modalities")
    image = registered.sample_modality("image")
    registered.SAMPLE_MODALITIES["radar"] = replace(
        image,
        small=replace(image.small, name="radar"),
        published=replace(image.published, name="radar"),
        masker=replace(image.masker, ratio=0.55),
    )
    yield registered
    for name in [name for name in sys.modules if name.startswith("recipes")]:
        del sys.modules[name]
    sys.modules.update(before)
    for name, module in before.items():
        package, _, below = name.rpartition(".")
        if package:
            setattr(before[package], below, module)


@pytest.mark.parametrize("method", ["quickstart", "debug", "mae", "vjepa", "capi", "omni"])
def test_one_more_record_is_in_every_mixed_recipe(with_one_more: ModuleType, method: str):
    recipe = vars(importlib.import_module("recipes.omni"))[method]()
    assert [m.name for m in recipe.modalities] == [*mixed_modalities(), "radar"]
    assert isinstance(recipe.masker, PerModality)
    assert recipe.modality("radar") in recipe.modalities_reaching(recipe.objectives[-1].decoder)
    assert "radar" in [stream.name for stream in recipe.data.streams]


@pytest.mark.parametrize("method", ["mae", "simmim", "beit2", "colormae", "hpm", "maskdistill"])
def test_one_more_record_suits_every_method(with_one_more: ModuleType, method: str):
    recipe = importlib.import_module(f"recipes.{method}").cpu("radar")
    assert [o.modality for o in recipe.objectives] == ["radar"] * len(recipe.objectives)
    assert recipe.data.streams[0].files["radar"].path == "images/train"


def test_one_more_record_is_fine_tuned(with_one_more: ModuleType):
    from omnimask.recipe.loading import load_recipe_of
    from omnimask.transfer.finetuning.recipe import FinetuneRecipe

    recipe = load_recipe_of("recipes.finetune:sample:radar", FinetuneRecipe)
    assert recipe.name == "finetune-radar"
