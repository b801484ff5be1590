import numpy as np
import pytest
import torch

from omnimask.objectives.sinkhorn import sinkhorn
from tests.sync_watch import SyncWatch

GENERATOR = torch.Generator().manual_seed(0)
SCORES = torch.randn(3, 12, 5, generator=GENERATOR)


def reference(scores: np.ndarray, temperature: float, iterations: int) -> np.ndarray:
    """Sinkhorn-Knopp on one (b, k) matrix, as the algorithm is usually written."""
    matrix = np.exp(scores.astype(np.float64) / temperature)
    for _ in range(iterations):
        for column in range(matrix.shape[1]):
            matrix[:, column] /= matrix[:, column].sum()
        for row in range(matrix.shape[0]):
            matrix[row] /= matrix[row].sum()
    return matrix


@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_it_is_the_plain_loop(iterations: int):
    ours = sinkhorn(SCORES, temperature=0.06, iterations=iterations).numpy()
    for position in range(3):
        expected = reference(SCORES[position].numpy(), 0.06, iterations)
        assert np.abs(ours[position] - expected).max() < 1e-5


def test_a_matrix_needs_no_leading_axis():
    alone = sinkhorn(SCORES[0], temperature=0.1)
    assert torch.equal(alone, sinkhorn(SCORES, temperature=0.1)[0])


def test_many_iterations_balance_rows_and_columns():
    ours = sinkhorn(SCORES, temperature=0.5, iterations=200)
    torch.testing.assert_close(ours.sum(dim=-1), torch.ones(3, 12))
    torch.testing.assert_close(ours.sum(dim=-2), torch.full((3, 5), 12 / 5))


def test_no_prototype_is_ahead_by_scoring_higher_everywhere():
    biased = SCORES + torch.tensor([4.0, 0, 0, 0, 0])
    assert (biased.argmax(dim=-1) == 0).float().mean() > 0.9
    ours = sinkhorn(biased, temperature=0.06)
    torch.testing.assert_close(ours, sinkhorn(SCORES, temperature=0.06), atol=1e-4, rtol=1e-3)


def test_invalid_rows_take_no_part_and_are_zero():
    valid = torch.rand(3, 12, generator=GENERATOR) < 0.6
    valid[2] = False  # a position that no sample has
    scores = SCORES.masked_fill(~valid[..., None], 77.0)
    ours = sinkhorn(scores, temperature=0.06, valid=valid)
    assert (ours[~valid] == 0).all()
    for position in range(2):
        kept = SCORES[position][valid[position]]
        torch.testing.assert_close(
            ours[position][valid[position]], sinkhorn(kept, temperature=0.06)
        )


def test_scores_far_apart_leave_no_row_empty():
    far = torch.full((1, 4, 3), -50.0)
    far[0, 0] = 50.0
    far[0, 1, 2] = 40.0
    ours = sinkhorn(far, temperature=0.06)
    assert ours.isfinite().all()
    torch.testing.assert_close(ours.sum(dim=-1), torch.ones(1, 4))


def test_scores_stay_as_they_are_and_the_device_is_not_waited_for():
    before, valid = SCORES.clone(), torch.ones(3, 12, dtype=torch.bool)
    with SyncWatch() as watch:
        sinkhorn(SCORES, temperature=1.0, valid=valid)
    assert not watch.waits + watch.host_copies, watch.report()
    assert torch.equal(before, SCORES)
