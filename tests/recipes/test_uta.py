"""What is particular to UTA: visible tokens alone, nothing hidden is asked for."""

from dataclasses import replace
from pathlib import Path

import torch

from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.uta import base
from tests.recipes.catalogue import first_batch, load


def test_a_prediction_depends_on_visible_tokens_and_on_no_hidden_one(few_files: Path):
    recipe = fit(load("recipes.uta:debug", few_files))
    model = build_model(recipe).eval()
    (view,) = model.views(first_batch(recipe))
    (plan,) = model.masks(view, 0.0)
    shown = plan.is_visible(view.layout.num_tokens)

    def predicted(change: torch.Tensor) -> torch.Tensor:
        part = view.tokens["image"]
        tokens = {"image": replace(part, values=part.values + change[:, :, None])}
        (encoded,) = model.encode([replace(view, tokens=tokens)], [[plan]])
        return model.predictions(encoded)["image_features"][shown]

    before = predicted(torch.zeros_like(shown).float())
    assert torch.equal(before, predicted((~shown).float()))
    first = torch.zeros_like(shown).float().scatter(1, plan.visible_ids[:, :1], 1.0)
    assert ((before - predicted(first)).abs().amax(dim=1) > 0).all()
    assert model(first_batch(recipe)).sums["image_features"].count == shown.sum()


def test_half_of_the_published_tokens_are_left_out():
    assert base().objectives[0].where == "visible"
    assert base().encoder.style.sub_norm
