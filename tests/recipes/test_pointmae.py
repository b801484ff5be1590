"""What is particular to Point-MAE: its counts, its schedule, the sample data's weight."""

import pytest

from modalities.points import PointFiles
from recipes.pointmae import BATCH, base
from tests.unit.masking_cases import keys, layout, part

CLOUDS = layout(points=part(64, (64,) * 2))


def test_26_of_64_groups_are_shown():
    (plan,) = base().masker(CLOUDS, keys(2))
    assert plan.num_visible == (26, 26)


def test_the_schedule_has_327_steps_in_each_of_300_epochs():
    recipe = base()
    assert (recipe.optim.steps, recipe.optim.warmup_steps) == (98_100, 3_270)
    assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == BATCH == 128
    assert (recipe.optim.lr, recipe.optim.final_lr) == pytest.approx((1e-3, 1e-6))


def test_clouds_are_stretched_and_shifted_but_not_rotated():
    files = base().data.streams[0].files["points"]
    assert isinstance(files, PointFiles)
    assert files.rotate == "none"
    assert (files.scale, files.shift) == ((2 / 3, 3 / 2), 0.2)
