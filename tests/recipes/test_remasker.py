"""What is particular to ReMasker: half of the observed cells, two losses, the published sizes."""

from pathlib import Path

import pytest
import torch

from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.remasker import base, large, tiny
from tests.recipes.catalogue import first_batch, load, places, shown_of


def test_half_of_the_observed_cells_are_hidden_and_all_of_them_predicted(sample_data: Path):
    recipe = fit(load("recipes.remasker:debug", sample_data))
    model = build_model(recipe)
    (view,) = model.views(first_batch(recipe))
    (plan,) = model.masks(view, 0.0)
    observed = view.layout.valid.sum(dim=1)
    assert (view.tokens["table"].valid.shape[1] - observed).max() > 0  # there are gaps or padding
    num_tokens = view.layout.valid.shape[1]
    shown = shown_of(plan, num_tokens).sum(dim=1)
    assert ((2 * shown - observed).abs() <= 1).all()
    asked = places(plan.predict_ids, plan.predict_ok, num_tokens)
    assert torch.equal(asked, view.layout.scorable)


def test_hidden_and_shown_cells_are_two_means(sample_data: Path):
    recipe = fit(load("recipes.remasker:debug", sample_data))
    model = build_model(recipe)
    batch = first_batch(recipe)
    sums = model(batch).sums
    (view,) = model.views(batch)
    (plan,) = model.masks(view, 0.0)
    num_observed = sum(sum(span.num_scorable) for span in view.layout.spans)
    assert sums["table_shown"].count == sum(plan.num_visible)
    assert sums["table_hidden"].count == num_observed - sum(plan.num_visible)
    assert [objective.weight for objective in recipe.objectives] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("recipe", "width", "depth", "decoder_depth", "rows"),
    [(tiny(), 32, 4, 2, 442), (base(), 32, 6, 4, 20_640), (large(), 64, 8, 6, 20_000)],
)
def test_published_sizes(recipe, width: int, depth: int, decoder_depth: int, rows: int):
    assert (recipe.encoder.width, recipe.encoder.depth) == (width, depth)
    decoder = recipe.decoders["main"]
    assert (decoder.width, decoder.depth, decoder.num_heads) == (width, decoder_depth, 4)
    assert recipe.data.streams[0].batch_size == 64
    assert recipe.optim.steps == 600 * (rows // 64)
    assert recipe.optim.warmup_steps == 40 * (rows // 64)
    assert recipe.optim.lr == pytest.approx(1e-3)
