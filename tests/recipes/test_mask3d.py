"""What is particular to Mask3D: two masks, and depth alone is asked for."""

from pathlib import Path

import torch

from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.mask3d import base
from tests.recipes.catalogue import first_batch, load, shown_of


def test_both_maps_are_hidden_by_masks_of_their_own_and_depth_is_predicted(few_files: Path):
    recipe = fit(load("recipes.mask3d:debug", few_files))
    model = build_model(recipe)
    batch = first_batch(recipe)
    (view,) = model.views(batch)
    (plan,) = model.masks(view, 0.0)
    shown = shown_of(plan, view.layout.num_tokens).unflatten(1, (2, 64))
    assert shown.sum(dim=2).tolist() == [[13, 13]] * 4
    assert not torch.equal(shown[:, 0], shown[:, 1])
    sums = model(batch).sums
    assert set(sums) == {"depth_pixels"}
    assert sums["depth_pixels"].count == 4 * (64 - 13)


def test_colour_trains_through_depth(few_files: Path):
    recipe = fit(load("recipes.mask3d:debug", few_files))
    model = build_model(recipe)
    model(first_batch(recipe)).sums["depth_pixels"].total.backward()
    gradient = model.backbone.contents.embeddings["rgb"].weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
    assert [o.modality for o in base().objectives] == ["depth"]
