"""What is particular to LocalMIM: four depths, four scales, fine cells below and coarse above."""

from pathlib import Path

import torch

from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.localmim import base
from tests.recipes.catalogue import first_batch, load


def test_blocks_2_4_10_and_12_have_cells_of_4_8_16_and_32_pixels():
    recipe = base()
    read = {name: d.layers(recipe.encoder) for name, d in recipe.decoders.items()}
    assert read == {"cells_4": (-11,), "cells_8": (-9,), "cells_16": (-3,), "cells_32": ()}
    image = recipe.modalities[0]
    widths = [o.target.num_predicted(image, 0) for o in recipe.objectives]
    assert widths == [16 * 27, 4 * 27, 27, 27]


def test_a_depth_is_trained_by_its_own_scale_and_those_above(few_files: Path):
    recipe = fit(load("recipes.localmim:debug", few_files))
    model = build_model(recipe)
    sums = model(first_batch(recipe)).sums
    sums["image_hog_2"].total.backward()  # read after the first block of four
    reached = [n for n, p in model.named_parameters() if p.grad is not None]
    assert any(".blocks.0." in name for name in reached)
    assert not any(f"encoder.blocks.{later}." in name for name in reached for later in (1, 2, 3))


def test_coarse_predictions_are_equal_within_their_cell(few_files: Path):
    recipe = fit(load("recipes.localmim:debug", few_files))
    model = build_model(recipe).eval()
    (view,) = model.views(first_batch(recipe))
    (plan,) = model.masks(view, 0.0)
    predicted = model.predictions(model.encode([view], [[plan]])[0])["image_hog_8"]
    cells = plan.predict_ids // 8 // 2 * 4 + plan.predict_ids % 8 // 2
    same = cells[0][:, None] == cells[0][None]
    apart = (predicted[0][:, None] - predicted[0][None]).abs().amax(-1)
    assert apart[same].max() < 1e-6
    assert apart[~same].min() > 1e-4
    assert torch.isfinite(predicted).all()
