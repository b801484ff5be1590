from dataclasses import replace

import pytest

from omnimask.training.step import build_model
from tests.unit.toy_recipe import toy_recipe
from tools.gradient_norms import gradient_norms


def test_a_streams_norm_grows_with_the_weight_of_its_objectives():
    recipe = toy_recipe()
    heavier = tuple(
        replace(o, weight=3.0 * o.weight) if o.modality == "toy" else o for o in recipe.objectives
    )
    before = gradient_norms(build_model(recipe), recipe, steps=2)
    after = gradient_norms(build_model(recipe), replace(recipe, objectives=heavier), steps=2)
    assert set(before) == {stream.name for stream in recipe.data.streams}
    assert after["toy"] == pytest.approx(3.0 * before["toy"], rel=1e-4)
    assert after["other"] == pytest.approx(before["other"], rel=1e-4)
