"""What is particular to MultiMAE: one budget over three maps, a decoder for each, its numbers."""

from pathlib import Path

import pytest
import torch

from omnimask.decoders import SpanDecoder
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.multimae import base
from tests.recipes.catalogue import first_batch, load
from tests.unit.masking_cases import keys, layout, part


def test_98_of_588_patches_are_shown_in_shares_that_differ_from_sample_to_sample():
    maps = {"h": 14, "w": 14}
    count = 64
    scene = layout(
        rgb=part(maps, (196,) * count),
        depth=part(maps, (196,) * count),
        semantic=part(maps, (196,) * count),
    )
    (plan,) = base().masker(scene, keys(count))
    assert plan.num_visible == (98,) * count
    assert plan.num_predict == (588 - 98,) * count
    of_map = plan.visible_ids // 196
    shares = torch.stack([(of_map == m).sum(dim=1) for m in range(3)], dim=1) / 98
    # Dirichlet(1, 1, 1) has mean 1/3 and deviation sqrt(1/18) in each part.
    assert shares.mean(dim=0).tolist() == pytest.approx([1 / 3] * 3, abs=0.1)
    assert shares.std(dim=0).tolist() == pytest.approx([18**-0.5] * 3, abs=0.06)


def test_the_published_numbers():
    recipe = base()
    assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == 2048
    assert recipe.optim.lr == pytest.approx(8e-4)
    assert recipe.optim.steps == 1600 * (1_281_167 // 2048)
    assert [recipe.modality(name).num_values for name in ("rgb", "depth", "semantic")] == [
        768,
        256,
        16,
    ]
    semantic = recipe.objectives[-1]
    assert semantic.target.num_predicted(recipe.modality("semantic"), 0) == 16 * 133
    for decoder in recipe.decoders.values():
        assert isinstance(decoder, SpanDecoder)
        assert (decoder.width, decoder.depth, decoder.num_heads) == (256, 2, 8)


def test_every_map_has_a_decoder_of_its_own_and_colour_two(sample_data: Path):
    recipe = fit(load("recipes.multimae:debug", sample_data))
    model = build_model(recipe).train()
    sums = model(first_batch(recipe)).sums
    sums["rgb_normalised"].total.backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    assert any(name.startswith("decoders.rgb_normalised.") for name in reached)
    assert any(name.startswith("backbone.") for name in reached)
    others = ("decoders.rgb.", "decoders.depth.", "decoders.semantic.", "heads.rgb_pixels")
    assert not any(name.startswith(others) for name in reached)
    assert sums["rgb_normalised"].count == sums["rgb_pixels"].count


def test_colour_depth_and_classes_of_a_sample_are_of_one_scene(sample_data: Path):
    recipe = fit(load("recipes.multimae:debug", sample_data))
    (group,) = first_batch(recipe)
    assert set(group.raw) == {"rgb", "depth", "semantic"}
    classes = group.raw["semantic"]["classes"]
    depth = group.raw["depth"]["pixels"]
    assert isinstance(classes, torch.Tensor)
    assert isinstance(depth, torch.Tensor)
    # The background is farther away than the objects in front of it, in the same cut and mirror.
    near = depth[:, 0, ::2, ::2].float()
    background = classes == 0
    assert background.any()
    assert near[background].mean() > near[~background].mean()
