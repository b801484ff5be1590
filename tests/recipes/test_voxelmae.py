"""What is particular to Voxel-MAE: pillars, empty queries, three targets, its schedule."""

import pytest

from modalities.voxels import VoxelCount, VoxelGrid, VoxelOccupied, VoxelPoints
from recipes.voxelmae import base


def test_the_grid_is_that_of_the_official_configuration():
    (grid,) = base().modalities
    assert isinstance(grid, VoxelGrid)
    assert grid.shape == (200, 200, 1)
    assert grid.num_queries(6000) == 600


def test_points_their_number_and_whether_there_are_any_count_equally():
    objectives = base().objectives
    targets = [VoxelPoints(num_points=10), VoxelCount(scale="linear"), VoxelOccupied()]
    assert [o.target for o in objectives] == targets
    assert [o.weight for o in objectives] == [1.0, 1.0, 1.0]


def test_the_schedule_has_200_epochs_of_28130_sweeps():
    recipe = base()
    batch = recipe.data.streams[0].batch_size * recipe.optim.accumulate
    assert recipe.optim.steps == 200 * (28_130 // batch)
    assert (recipe.optim.lr, recipe.optim.betas) == (pytest.approx(5e-4), (0.95, 0.99))
    assert recipe.encoder.width * recipe.encoder.style.mlp_ratio == 256
