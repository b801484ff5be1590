"""Our Chamfer losses against scipy's tree of neighbours, on sets of unequal sizes.

Sampling and neighbours of points are compared with numpy and scipy in tests/modalities.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from modalities.points import chamfer_l1, chamfer_l2

ROWS, TOKENS = 2, 3


def by_tree(predicted: np.ndarray, truth: np.ndarray, *, power: int) -> float:
    """The sum of both mean distances to the nearest point of the other set."""
    from scipy.spatial import KDTree

    to_truth, to_predicted = KDTree(truth).query(predicted)[0], KDTree(predicted).query(truth)[0]
    return float((to_truth**power).mean() + (to_predicted**power).mean())


@pytest.mark.parametrize(("loss", "power", "factor"), [(chamfer_l2, 2, 1.0), (chamfer_l1, 1, 0.5)])
@pytest.mark.parametrize("num_predicted", [1, 32, 300])
def test_chamfer_is_that_of_a_tree(
    loss: Callable[..., torch.Tensor], power: int, factor: float, num_predicted: int
):
    generator = torch.Generator().manual_seed(num_predicted)
    predicted = torch.randn(ROWS, TOKENS, num_predicted * 3, generator=generator)
    truth = torch.randn(ROWS, TOKENS, 48 * 3, generator=generator)
    result = loss(predicted, truth)
    points = [part.unflatten(-1, (-1, 3)).double().numpy() for part in (predicted, truth)]
    expected = [
        [factor * by_tree(points[0][r, n], points[1][r, n], power=power) for n in range(TOKENS)]
        for r in range(ROWS)
    ]
    torch.testing.assert_close(result, torch.tensor(expected), rtol=1e-5, atol=0)
