"""What hidden voxels are asked for, and the masked Chamfer loss."""

import dataclasses

import pytest
import torch
from torch import Tensor

from modalities.points import PointGroups
from modalities.voxels import (
    VoxelCount,
    VoxelOccupied,
    VoxelPoints,
    masked_chamfer,
)
from modalities.voxels.values import VoxelValues
from omnimask.foundation.errors import RecipeError
from omnimask.objectives.targets import Content
from tests.modalities.case_voxels import sweep
from tests.modalities.test_voxels import GRID, raw_of, tokens_of
from tests.steps import truth_of


def test_targets_are_known_where_they_should_be() -> None:
    tokens = tokens_of(sweep(0), sweep(1, num_points=30))
    assert torch.equal(VoxelPoints().known(tokens), tokens.valid)
    assert torch.equal(VoxelCount().known(tokens), tokens.valid)
    assert torch.equal(VoxelCount(where="all").known(tokens), tokens.scorable)
    occupied = truth_of(VoxelOccupied(), GRID, tokens)
    assert torch.equal(occupied.known, tokens.scorable)
    assert torch.equal(occupied.values[..., 0] > 0.5, tokens.valid)


def test_counts_are_of_all_points_even_those_left_out() -> None:
    rows, grid = sweep(0), dataclasses.replace(GRID, points_per_voxel=1)
    raw = raw_of(rows, grid=grid)
    tokens = grid.split(raw)
    linear = VoxelCount(scale="linear")(grid, tokens)[..., 0]
    count = raw["count"]
    assert isinstance(count, Tensor)
    torch.testing.assert_close(linear, count.float())
    assert linear.sum() == len(rows)
    torch.testing.assert_close(VoxelCount()(grid, tokens)[..., 0], count.float().log1p())


def test_points_are_restored_in_their_voxels() -> None:
    tokens = tokens_of(sweep(0))
    predicted = torch.linspace(-1, 1, GRID.num_tokens * 30).view(1, GRID.num_tokens, 30)
    restored = VoxelPoints().restore(predicted, tokens)
    assert restored is not None
    assert restored.shape == tokens.values.shape
    voxel = VoxelValues.of(restored)
    occupied = tokens.valid
    expected = predicted.unflatten(-1, (10, 3))[:, :, :4]
    torch.testing.assert_close(voxel.places[occupied], expected[occupied])
    assert torch.equal(voxel.ok.all(dim=-1), occupied)
    assert not voxel.places[~occupied].any()
    exact = VoxelPoints(num_points=2).restore(predicted[..., :6], tokens)
    assert exact is not None
    assert VoxelValues.of(exact).ok[occupied].sum(dim=-1).unique().tolist() == [2]


def test_targets_of_voxels_refuse_another_modality() -> None:
    for target in (VoxelPoints(), VoxelCount(), VoxelOccupied()):
        with pytest.raises(RecipeError, match="'points'"):
            target.num_predicted(PointGroups(), 0)
    assert Content().num_predicted(GRID, 0) == GRID.num_values


def chamfer_by_hand(predicted: Tensor, truth: Tensor) -> Tensor:
    gaps = ((predicted.view(-1, 1, 3) - truth.view(1, -1, 3)) ** 2).sum(dim=2)
    return gaps.min(dim=1).values.mean() + gaps.min(dim=0).values.mean()


def test_masked_chamfer_equals_the_reference() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(3, 4, 15, generator=generator)
    places = torch.randn(3, 4, 6, 3, generator=generator)
    ok = torch.rand(3, 4, 6, generator=generator) < 0.5
    ok[..., 0], ok[0, 0] = True, False
    truth = torch.cat([(places * ok[..., None]).flatten(2), ok.float()], dim=2)
    loss = masked_chamfer(predicted, truth)
    assert loss[0, 0] == 0
    for row in range(3):
        for token in range(4):
            if ok[row, token].any():
                expected = chamfer_by_hand(
                    predicted[row, token], places[row, token][ok[row, token]]
                )
                torch.testing.assert_close(loss[row, token], expected)


def test_masked_chamfer_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(2, 2, 9, generator=generator, dtype=torch.double).requires_grad_()
    ok = torch.tensor([[[True, True], [True, False]], [[True, True], [False, False]]])
    places = torch.randn(2, 2, 6, generator=generator, dtype=torch.double)
    truth = torch.cat([places, ok.double()], dim=2)
    # The loss computes in fp32, whose rounding the numerical gradient sees.
    assert torch.autograd.gradcheck(masked_chamfer, (predicted, truth), eps=1e-2, atol=2e-2)
    masked_chamfer(predicted, truth).sum().backward()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()
    assert not predicted.grad[1, 1].any()
