"""Hidden tokens come from visible ones alone, and visible ones stay."""

from dataclasses import replace

import pytest
import torch

from omnimask.data.streams import open_streams
from omnimask.foundation.errors import RecipeError
from omnimask.objectives.targets import Content
from omnimask.tokens.tokens import Raw
from omnimask.training.fitting import fit
from omnimask.training.step import MaskedModel, build_model
from omnimask.transfer.imputing import restore_hidden
from omnimask.transfer.imputing.restore import random_hidden
from tests.unit.toy_recipe import toy_recipe, with_teacher

HIDDEN = torch.tensor([False, False, True, True, False, False, False, True])


def built(norm: str = "none") -> tuple[MaskedModel, Raw]:
    recipe = toy_recipe()
    target = Content(norm=norm)  # pyright: ignore[reportArgumentType]
    objectives = tuple(replace(o, target=target) for o in recipe.objectives)
    recipe = fit(replace(recipe, objectives=objectives))
    torch.manual_seed(0)
    return build_model(recipe).eval(), open_streams(recipe)[0].held_out_group([0]).raw["toy"]


@pytest.mark.parametrize("norm", ["none", "token"])
def test_visible_tokens_stay_and_hidden_ones_say_nothing(norm: str):
    model, raw = built(norm)
    values = model.modalities["toy"].split(raw).values[0]
    restored = restore_hidden(model, "toy", raw, HIDDEN)
    assert torch.equal(restored.values[~HIDDEN], values[~HIDDEN])
    assert (restored.values[HIDDEN] != values[HIDDEN]).all()
    wave = raw["wave"]
    assert isinstance(wave, torch.Tensor)
    changed = wave + 5.0 * HIDDEN.repeat_interleave(4)
    again = restore_hidden(model, "toy", {**raw, "wave": changed}, HIDDEN)
    assert torch.equal(again.values, restored.values)


def test_statistics_of_a_normalised_target_are_those_of_the_nearest_visible_tokens():
    model, raw = built("token")
    torch.nn.init.zeros_(model.heads["toy_content"].weight)  # pyright: ignore[reportArgumentType]
    torch.nn.init.zeros_(model.heads["toy_content"].bias)  # pyright: ignore[reportArgumentType]
    restored = restore_hidden(model, "toy", raw, HIDDEN)
    means = model.modalities["toy"].split(raw).values[0].mean(dim=1)
    for token, others in {2: [1, 0, 4, 5], 7: [6, 5, 4, 1]}.items():
        weights = torch.tensor([1.0 / abs(token - other) for other in others])
        expected = (weights * means[others]).sum() / weights.sum()
        torch.testing.assert_close(restored.values[token], expected.expand(4))
    assert restored.notes[0].startswith("toy_content needs each hidden token's own mean")


def test_a_prediction_is_that_of_training_under_the_same_mask():
    model, raw = built()
    assert restore_hidden(model, "toy", raw, HIDDEN).notes == ()
    torch.nn.init.zeros_(model.heads["toy_content"].weight)  # pyright: ignore[reportArgumentType]
    torch.nn.init.constant_(model.heads["toy_content"].bias, 3.0)  # pyright: ignore[reportArgumentType]
    assert (restore_hidden(model, "toy", raw, HIDDEN).values[HIDDEN] == 3.0).all()


def test_nothing_everything_and_no_target():
    model, raw = built()
    with pytest.raises(RecipeError, match="nothing of the toy is hidden"):
        restore_hidden(model, "toy", raw, torch.zeros(8, dtype=torch.bool))
    with pytest.raises(RecipeError, match="every token of the toy is hidden"):
        restore_hidden(model, "toy", raw, torch.ones(8, dtype=torch.bool))
    recipe = with_teacher()
    features = tuple(o for o in recipe.objectives if o.name.endswith("_features"))
    decoders = {"cross": recipe.decoders["cross"]}
    other = build_model(fit(replace(recipe, objectives=features, decoders=decoders))).eval()
    with pytest.raises(RecipeError, match="no objective of 'toy' restores hidden tokens of toy"):
        restore_hidden(other, "toy", raw, HIDDEN)


def test_a_ratio_hides_that_many_valid_tokens():
    valid = torch.arange(10) < 8
    hidden = random_hidden(valid, ratio=0.5, seed=0)
    assert int(hidden.sum()) == 4
    assert not hidden[8:].any()
    assert torch.equal(hidden, random_hidden(valid, ratio=0.5, seed=0))
    assert not torch.equal(hidden, random_hidden(valid, ratio=0.5, seed=3))
