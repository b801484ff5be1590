"""What is particular to HPM: what the hint hides, the slow copy's pace, what is ranked."""

from pathlib import Path

import pytest
import torch

from omnimask.recipe.teacher import Teacher
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.hpm import base, parts
from tests.recipes.catalogue import first_batch, load, shown_of
from tests.unit.masking_cases import keys, layout, part

IMAGES = layout(image=part({"h": 14, "w": 14}, (196,) * 3))


def hardest_hidden(progress: float) -> list[int]:
    """How many of the 73 patches with the highest hint are hidden (half of 147, rounded down)."""
    hint = torch.rand(3, 196, generator=torch.Generator().manual_seed(1))
    (plan,) = base().masker(IMAGES, keys(3), {"image_hardness": hint}, progress)
    assert plan.num_visible == (49,) * 3
    hidden = ~shown_of(plan, 196)
    return hidden.gather(1, hint.topk(73, dim=1).indices).sum(dim=1).tolist()


def test_half_of_the_hidden_patches_are_the_hardest_in_the_end_and_none_on_purpose_at_first():
    assert hardest_hidden(1.0) == [73] * 3
    assert max(hardest_hidden(0.0)) < 73


def test_the_teacher_slows_down_over_the_first_hundred_epochs():
    teacher = base().teacher
    assert isinstance(teacher, Teacher)
    for epoch, decay in ((0, 0.999), (50, 0.99945), (100, 0.9999), (800, 0.9999)):
        assert teacher.decay_at(epoch / 800) == pytest.approx(decay)


def test_the_rate_is_that_of_a_batch_of_2048():
    optim = base().optim
    assert base().data.streams[0].batch_size * optim.accumulate == 2048
    assert optim.lr == pytest.approx(1.2e-3)


def test_the_points_of_voxels_are_ranked():
    hardness = parts("voxels").objectives[-1]
    assert hardness.target.objective_read == "voxels_points"  # pyright: ignore


def test_the_ranking_trains_its_own_decoder_and_leaves_the_reconstruction_alone(sample_data: Path):
    recipe = fit(load("recipes.hpm:debug", sample_data))
    model = build_model(recipe).train()
    sums = model(first_batch(recipe)).sums
    sums["image_hardness"].total.backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    assert any(name.startswith("decoders.hardness.") for name in reached)
    assert any(name.startswith("backbone.") for name in reached)
    assert not any(name.startswith(("decoders.main.", "heads.image_pixels")) for name in reached)
    assert sums["image_hardness"].count == sums["image_pixels"].count
