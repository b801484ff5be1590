"""What is particular to MAMP: what moves is hidden, and the motion is what is asked for."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.masking import ChangeHint, RandomMask, SampleByHint
from omnimask.recipe.recipe import Recipe
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.mamp import cpu, debug, ntu60
from tests.recipes.catalogue import first_batch, load, shown_of


@pytest.fixture(scope="module")
def recipe(sample_data: Path) -> Recipe:
    return fit(load("recipes.mamp:debug", sample_data))


def test_a_tenth_of_750_tokens_is_shown():
    (skeleton,) = ntu60().modalities
    assert skeleton.grid == {"t": 30, "joint": 25}
    masker = ntu60().masker
    assert isinstance(masker, SampleByHint)
    assert (masker.ratio, masker.temperature, masker.hide) == (0.9, 0.8, "high")
    assert ntu60().optim.final_lr == ntu60().optim.lr / 2


def test_what_is_shown_moves_less_than_what_is_hidden(recipe: Recipe):
    model = build_model(recipe).eval()
    shown_motion, hidden_motion = [], []
    for view in model.views(first_batch(recipe)):
        assert view.hints is not None
        motion = view.hints["motion"]
        assert motion.shape == view.layout.valid.shape
        for epoch in range(20):
            other = replace(view, group=replace(view.group, keys=view.group.keys + epoch))
            (plan,) = model.masks(other, 0.0)
            shown = shown_of(plan, motion.shape[1])
            shown_motion.append(motion[shown].mean())
            hidden_motion.append(motion[view.layout.valid & ~shown].mean())
    assert torch.stack(shown_motion).mean() < 0.8 * torch.stack(hidden_motion).mean()


def test_counts_and_masks_are_the_same_ahead_of_the_step(recipe: Recipe):
    model, batch = build_model(recipe).train(), first_batch(recipe)
    hints = model.hints(batch)
    counted = model.counts(batch, 0.5, hints)
    outcome = model(batch, 0.5, False, hints)
    again = model(batch, 0.5)
    (name,) = (objective.name for objective in recipe.objectives)
    assert counted[name] == outcome.counts[name] == again.counts[name] > 0
    assert torch.equal(outcome.sums[name].total, again.sums[name].total)


def test_a_hint_does_not_depend_on_other_samples(recipe: Recipe):
    model = build_model(recipe).eval()
    (view,) = model.views(first_batch(recipe))
    (tokens,) = view.tokens.values()
    hint = ChangeHint()
    one = replace(
        tokens,
        **{name: getattr(tokens, name)[:1] for name in ("values", "coords", "valid", "scorable")},
        num_valid=tokens.num_valid[:1],
        num_scorable=tokens.num_scorable[:1],
    )
    torch.testing.assert_close(hint(one), hint(tokens)[:1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hints": {}}, r"teacher predicts, but recipe.teacher is None.*recipe.hints"),
        ({"masker": RandomMask()}, "recipe.masker asks for none; leave it out"),
        ({"hints": {"motion": ChangeHint(axis="h")}}, "says nothing of any modality"),
        (
            {"objectives": tuple(replace(o, name="motion") for o in debug().objectives)},
            "are both called 'motion'",
        ),
    ],
)
def test_hints_that_make_no_sense_are_refused(change: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        replace(debug(), **change)


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_other_modalities_with_time_have_motion_too(modality: str, sample_data: Path):
    recipe = cpu(modality)
    recipe = fit(replace(recipe, data=replace(recipe.data, root=str(sample_data))))
    model = build_model(recipe)
    (name,) = (objective.name for objective in recipe.objectives)
    streams = tuple(replace(s, batch_size=2) for s in recipe.data.streams)
    batch = first_batch(replace(recipe, data=replace(recipe.data, streams=streams)))
    outcome = model(batch)
    assert outcome.sums[name].total.isfinite()
    assert outcome.counts[name] > 0
