import json
from dataclasses import replace

import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import from_json, paths, set_paths, to_json
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import mse
from omnimask.recipe.recipe import override
from omnimask.recipe.settings import Optim, Run
from recipes.omni import quickstart


def test_a_record_survives_json():
    encoder = Encoder(width=64, num_heads=4, drop_path=0.1)
    assert from_json(json.loads(json.dumps(to_json(encoder)))) == encoder


def test_functions_have_a_name_apart_from_their_module():
    assert to_json(mse) == {"function": "omnimask:mse"}
    assert from_json({"function": "omnimask:mse"}) is mse


def test_a_whole_recipe_survives_json():
    recipe = quickstart()
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


def test_a_saved_recipe_cannot_name_other_code():
    with pytest.raises(RecipeError, match="trusted are omnimask"):
        from_json({"function": "os:system"})


def test_a_field_of_another_version_is_named():
    saved = {**to_json(Run()), "log_evry": 3}
    with pytest.raises(RecipeError, match="no field 'log_evry'; did you mean log_every"):
        from_json(saved)


def test_values_that_json_cannot_hold_are_refused():
    with pytest.raises(RecipeError, match="a recipe holds numbers"):
        to_json(object())


def test_a_path_changes_one_field():
    changed = set_paths(quickstart(), {"optim.lr": 1e-4})
    assert changed == replace(quickstart(), optim=replace(quickstart().optim, lr=1e-4))


def test_paths_go_through_names_of_modalities_and_streams():
    recipe = override(
        quickstart(),
        [
            "modalities.image.size=(64, 64)",
            "data.streams.image.batch_size=2",
            "masker.masks.image.ratio=0.6",
            "encoder.style.layer_scale=0.1",
            "data.root=/elsewhere",
            "optim.lr=1",
        ],
    )
    assert recipe.modality("image").size == (64, 64)
    assert recipe.data.streams[0].batch_size == 2
    assert recipe.masker.masks["image"].ratio == 0.6
    assert recipe.encoder.style.layer_scale == 0.1
    assert recipe.data.root == "/elsewhere"
    assert type(recipe.optim.lr) is float


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optim.learning_rate=1", "the recipe has no 'optim.learning_rate'; did you mean"),
        ("optm.lr=1", "did you mean optim.lr"),
        ("optim.lr=fast", "optim.lr must be float, got 'fast'"),
        ("optim.steps=1.5", "optim.steps must be int"),
        ("run.precision=fp8", "run.precision must be"),
        ("optim.lr", "--set takes path=value"),
        ("masker.masks.image.ratio=75", r"mask ratio must be in \(0, 1\), got 75(.0)?; write 0.75"),
    ],
)
def test_a_wrong_override_says_what_was_meant(assignment: str, message: str):
    with pytest.raises(RecipeError, match=message):
        override(quickstart(), [assignment])


def test_changes_are_checked_together():
    recipe = override(quickstart(), ["optim.steps=10", "optim.warmup_steps=5"])
    assert (recipe.optim.steps, recipe.optim.warmup_steps) == (10, 5)


def test_every_path_can_be_set_to_its_own_value():
    recipe = replace(quickstart(), optim=Optim(steps=3))
    for path in paths(recipe):
        value = recipe
        for step in path.split("."):
            if isinstance(value, dict):
                value = value[step]
            elif isinstance(value, tuple):
                value = {getattr(v, "name", str(i)): v for i, v in enumerate(value)}[step]
            else:
                value = getattr(value, step)
        assert set_paths(recipe, {path: value}) == recipe, path
