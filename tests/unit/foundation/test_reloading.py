"""What could not be loaded again is refused before a run begins, with its place and the fix."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnimask.commands.dry_run import step_text
from omnimask.commands.pretrain import pretrain, train
from omnimask.foundation import trust
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.reloading import check_reloadable
from omnimask.recipe.recipe import Recipe
from tests.unit.toy import Toy
from tests.unit.toy_recipe import toy_recipe

SOURCE = """
from dataclasses import dataclass
from omnimask.masking import RandomMask
from omnimask.objectives.objective import mse

by_lambda = lambda predicted, truth: mse(predicted, truth)

def loss(predicted, truth):
    return mse(predicted, truth)

def another():
    def loss(predicted, truth):
        return mse(predicted, truth)
    loss.__qualname__ = "loss"
    return loss

class Calls:
    def __call__(self, layout, rng, hints=None, progress=0.0):
        return RandomMask(ratio=0.5)(layout, rng)
    def check(self, grid, modality):
        pass

@dataclass(frozen=True)
class Frozen(Calls):
    ratio: object = 0.5

@dataclass
class Thawed(Calls):
    ratio: float = 0.5

@dataclass(frozen=True)
class Doubles(Calls):
    ratio: float = 0.5
    def __post_init__(self):
        object.__setattr__(self, "ratio", self.ratio * 2)

@dataclass(frozen=True)
class Once(Calls):
    ratio: float = 0.5
    def __post_init__(self):
        if self.ratio > 0.5:
            raise ValueError("too much")
        object.__setattr__(self, "ratio", 0.75)

@dataclass(frozen=True, eq=False)
class Unequal(Calls):
    ratio: float = 0.5
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module outside the repository, which nobody has trusted yet."""
    monkeypatch.setattr(trust, "_trusted", {"tests"})
    (tmp_path / "own_parts.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_parts")
    sys.modules.pop("own_parts")


def with_loss(loss: Any) -> Recipe:
    recipe = toy_recipe()
    first, *others = recipe.objectives
    return replace(recipe, objectives=(replace(first, loss=loss), *others))


def with_masker(masker: Any) -> Recipe:
    return replace(toy_recipe(), masker=masker)


BAD = {
    "a lambda": (lambda own: with_loss(own.by_lambda), "toy_content.loss: a lambda is defined in"),
    "a local function": (
        lambda own: with_loss(own.another()),
        "toy_content.loss: own_parts:loss is another object than the one in the recipe",
    ),
    "no dataclass": (lambda own: with_masker(own.Calls()), "masker: a recipe holds numbers"),
    "not frozen": (lambda own: with_masker(own.Thawed()), "masker: .*write @dataclass.frozen=True"),
    "a list": (lambda own: with_masker(own.Frozen([1, 2])), r"masker.ratio: .*got \(1, 2\)"),
    "a set": (lambda own: with_masker(own.Frozen({1})), "masker.ratio: .*got set"),
    "a key": (lambda own: with_masker(own.Frozen({1: 2})), "masker.ratio: .*strings as keys"),
    "changed twice": (lambda own: with_masker(own.Doubles()), "masker: .*differs after"),
    "made once only": (lambda own: with_masker(own.Once()), "masker: .*ValueError: too much"),
    "never equal": (lambda own: with_masker(own.Unequal()), "masker: .*must compare equal"),
}


@pytest.mark.parametrize("what", BAD)
def test_it_is_refused_with_its_place_and_leaves_no_folder(what: str, own: Any, tmp_path: Path):
    make, said = BAD[what]
    recipe = make(own)
    trust.trust("own_parts")
    with pytest.raises(RecipeError, match=f"recipe.(objectives.)?{said}"):
        step_text(recipe)
    with pytest.raises(RecipeError, match=f"recipe.(objectives.)?{said}"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_package_that_nobody_trusts_is_refused(own: Any, tmp_path: Path):
    recipe = with_loss(own.loss)
    with pytest.raises(RecipeError, match=r"toy_content.loss: .*--trust own_parts"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_program_that_hands_over_a_recipe_trusts_its_parts(own: Any, tmp_path: Path):
    recipe = with_loss(own.loss)
    recipe = replace(recipe, optim=replace(recipe.optim, steps=1, warmup_steps=0))
    pretrain(recipe, tmp_path / "run")
    check_reloadable(recipe)


def test_a_part_of_the_script_is_refused(own: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(own.loss, "__module__", "__main__")
    with pytest.raises(RecipeError, match=r"toy_content.loss: loss is defined in the script"):
        check_reloadable(with_loss(own.loss))


class Measures(Toy):
    """Its mean is a number of NumPy's, which shows only once it was measured."""

    __slots__ = ()

    def fit(self, source: Any) -> "Measures":
        return replace(self, mean=np.float32(Toy.fit(self, source).mean))  # pyright: ignore


def test_statistics_that_cannot_be_saved_are_refused_too(tmp_path: Path):
    recipe = toy_recipe()
    recipe = replace(recipe, modalities=(Measures(), recipe.modalities[1]))
    check_reloadable(recipe)
    with pytest.raises(RecipeError, match=r"recipe.modalities.toy.mean: .*got float32"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
