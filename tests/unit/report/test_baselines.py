"""The best constant prediction, for losses whose answer is known."""

import pytest
import torch
from torch import Tensor

from omnimask.objectives.objective import bce, cross_entropy, l1, mse
from omnimask.report.baselines import fit_constant, mean_loss


def truths(count: int = 200, width: int = 3) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(1)) * 2 + 5


def test_for_squared_error_it_is_the_mean():
    values = truths()
    found = fit_constant(mse, values, 3)
    torch.testing.assert_close(found, values.mean(dim=0), atol=1e-3, rtol=0)


def test_for_absolute_error_it_is_as_good_as_the_median():
    values = truths()
    best = mean_loss(l1, values.median(dim=0).values, values)
    assert mean_loss(l1, fit_constant(l1, values, 3), values) <= best * 1.01


def test_for_binary_cross_entropy_it_is_the_log_odds():
    values = torch.tensor([[1.0]] * 3 + [[0.0]] * 1)
    found = fit_constant(bce, values, 1).sigmoid()
    torch.testing.assert_close(found, torch.tensor([0.75]), atol=1e-3, rtol=0)


def test_for_cross_entropy_it_is_the_frequencies():
    values = torch.tensor([[0.0]] * 5 + [[2.0]] * 3 + [[1.0]] * 2)
    found = fit_constant(cross_entropy, values, 3).softmax(dim=0)
    torch.testing.assert_close(found, torch.tensor([0.5, 0.2, 0.3]), atol=1e-3, rtol=0)


def set_distance(predicted: Tensor, truth: Tensor) -> Tensor:
    """Chamfer-like on sets of numbers."""
    apart = (predicted[..., :, None] - truth[..., None, :]).square()
    return apart.amin(dim=-1).mean(dim=-1) + apart.amin(dim=-2).mean(dim=-1)


def test_a_set_loss_does_not_stop_at_its_saddle():
    values = torch.tensor([[-1.0, 1.0]]).repeat(10, 1)
    found = fit_constant(set_distance, values, 2)
    assert mean_loss(set_distance, found, values) == pytest.approx(0.0, abs=1e-4)


def test_one_truth_is_enough():
    torch.testing.assert_close(
        fit_constant(mse, torch.tensor([[3.0]]), 1), torch.tensor([3.0]), atol=1e-3, rtol=0
    )
