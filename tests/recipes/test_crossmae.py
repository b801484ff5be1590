"""What is particular to CrossMAE: it predicts a part, and each prediction stands alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from omnimask.decoders import CrossAttentionDecoder
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.crossmae import base, base_all, small_all
from tests.recipes.catalogue import first_batch, load, shown_of
from tests.unit.masking_cases import keys, layout, part

IMAGES = layout(image=part({"h": 14, "w": 14}, (196,) * 3))


def test_a_quarter_of_all_patches_is_predicted():
    (plan,) = base().masker(IMAGES, keys(3))
    assert plan.num_visible == (49,) * 3
    assert plan.num_predict == (49,) * 3
    assert not shown_of(plan, 196).gather(1, plan.predict_ids).any()


def test_all_hidden_patches_are_predicted_by_the_released_models():
    (plan,) = base_all().masker(IMAGES, keys(3))
    assert plan.num_predict == (147,) * 3


def test_the_rate_is_scaled_by_the_share_that_is_predicted():
    assert base_all().optim.lr == pytest.approx(2.4e-3)
    assert base().optim.lr == pytest.approx(0.8e-3)


def test_decoders_have_twelve_blocks_that_read_all_layers():
    for recipe, width in ((base(), 512), (small_all(), 256)):
        decoder = recipe.decoders["main"]
        assert isinstance(decoder, CrossAttentionDecoder)
        assert (decoder.width, decoder.depth) == (width, 12)
        assert decoder.layers(recipe.encoder) == tuple(range(-13, 0)), "and what enters the first"


def test_a_prediction_does_not_depend_on_what_else_is_predicted(sample_data: Path):
    recipe = fit(load("recipes.crossmae:debug", sample_data))
    model = build_model(recipe).eval()
    (view,) = model.views(first_batch(recipe))
    (plan,) = model.masks(view, 0.0)
    fewer = replace(
        plan,
        predict_ids=plan.predict_ids[:, :5],
        predict_ok=plan.predict_ok[:, :5],
        num_predict=(5,) * len(plan.num_predict),
    )
    whole, part_of_it = (
        model.predictions(model.encode([view], [[p]])[0])["image_pixels"] for p in (plan, fewer)
    )
    torch.testing.assert_close(whole[:, :5], part_of_it, atol=1e-5, rtol=1e-5)
