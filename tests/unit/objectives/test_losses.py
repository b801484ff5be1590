import numpy as np
import pytest
import torch
import torch.nn.functional as F

from omnimask.foundation.errors import RecipeError
from omnimask.objectives import objective as losses

GENERATOR = torch.Generator().manual_seed(0)
PREDICTED = torch.randn(2, 5, 7, generator=GENERATOR)
TRUTH = torch.randn(2, 5, 7, generator=GENERATOR)
DIFFERENCE = (PREDICTED - TRUTH).numpy().astype(np.float64)


def same(ours: torch.Tensor, reference: np.ndarray) -> bool:
    return ours.shape == (2, 5) and np.allclose(ours.numpy(), reference, atol=1e-5)


def test_squared_and_absolute_errors_are_means_over_values():
    assert same(losses.mse(PREDICTED, TRUTH), (DIFFERENCE**2).mean(axis=-1))
    assert same(losses.l1(PREDICTED, TRUTH), np.abs(DIFFERENCE).mean(axis=-1))


def test_smooth_l1_is_quadratic_below_one():
    size = np.abs(DIFFERENCE)
    reference = np.where(size < 1, 0.5 * size**2, size - 0.5).mean(axis=-1)
    assert same(losses.smooth_l1(PREDICTED, TRUTH), reference)


def test_cross_entropy_of_class_indices():
    classes = torch.randint(0, 7, (2, 5), generator=GENERATOR)
    reference = F.cross_entropy(PREDICTED.flatten(0, 1), classes.flatten(), reduction="none")
    ours = losses.cross_entropy(PREDICTED, classes[:, :, None].float())
    assert same(ours, reference.reshape(2, 5).numpy())


def test_cross_entropy_of_probabilities():
    soft = TRUTH.softmax(dim=-1)
    logits = PREDICTED.numpy().astype(np.float64)
    log_sum = np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    reference = -(soft.numpy() * (logits - log_sum)).sum(axis=-1)
    assert same(losses.cross_entropy(PREDICTED, soft), reference)


def test_both_forms_of_cross_entropy_agree_on_one_hot_truth():
    classes = torch.arange(10).reshape(2, 5) % 7
    hard = losses.cross_entropy(PREDICTED, classes[:, :, None].float())
    soft = losses.cross_entropy(PREDICTED, F.one_hot(classes, 7).float())
    assert torch.allclose(hard, soft, atol=1e-6)


def test_binary_cross_entropy_of_logits():
    target = TRUTH.sigmoid()
    p = 1 / (1 + np.exp(-PREDICTED.numpy().astype(np.float64)))
    t = target.numpy()
    reference = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(axis=-1)
    assert same(losses.bce(PREDICTED, target), reference)


def test_losses_of_a_single_logit_and_of_no_tokens():
    one = torch.full((1, 1, 1), 0.3)
    assert torch.allclose(losses.bce(one, one), F.binary_cross_entropy_with_logits(one, one))
    nothing = torch.zeros(2, 0, 7)
    for loss in (losses.mse, losses.l1, losses.smooth_l1, losses.cross_entropy, losses.bce):
        assert loss(nothing, nothing).shape == (2, 0)


def test_cosine_is_one_minus_the_similarity():
    from sklearn.metrics.pairwise import paired_cosine_distances

    paired = paired_cosine_distances(PREDICTED.flatten(0, 1), TRUTH.flatten(0, 1))
    assert same(losses.cosine(PREDICTED, TRUTH), paired.reshape(2, 5))
    opposite = losses.cosine(PREDICTED, -3.0 * PREDICTED)
    assert torch.allclose(opposite, torch.full((2, 5), 2.0))


def ranking_pairs(scores: np.ndarray, own: np.ndarray, counted: np.ndarray) -> dict:
    """The binary cross-entropy of every ordered pair of counted tokens of a row with other loss."""
    pairs = {}
    for row, i, j in np.ndindex(*scores.shape, scores.shape[1]):
        if counted[row, i] and counted[row, j] and own[row, i] != own[row, j]:
            p = 1 / (1 + np.exp(scores[row, j] - scores[row, i]))
            pairs[row, i, j] = -np.log(p if own[row, i] > own[row, j] else 1 - p)
    return pairs


def test_ranking_is_the_mean_over_pairs():
    scores, own = PREDICTED[:, :, :1], TRUTH[:, :, 0].exp()
    counted = torch.tensor([[1, 1, 0, 1, 1], [1, 0, 1, 1, 1]])
    ours = losses.ranking(scores, torch.stack([own, counted.float()], dim=-1))
    pairs = ranking_pairs(scores[:, :, 0].double().numpy(), own.numpy(), counted.numpy())
    for row in range(2):
        for i in range(5):
            mine = [value for (r, a, _), value in pairs.items() if (r, a) == (row, i)]
            assert np.isclose(ours[row, i].item(), np.mean(mine) if mine else 0.0, atol=1e-6)
    assert len(pairs) == 2 * 4 * 3
    assert np.isclose(ours[counted > 0].mean().item(), np.mean(list(pairs.values())), atol=1e-6)


def test_ranking_leaves_out_equal_losses_and_lonely_tokens():
    own = torch.tensor([[1.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    counted = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    scores = torch.tensor([[0.3, -0.2, 0.9], [1.0, 2.0, 3.0]])[:, :, None]
    ours = losses.ranking(scores, torch.stack([own, counted], dim=-1))
    soft = F.softplus
    below = soft(torch.tensor([0.3 - 0.9, -0.2 - 0.9]))
    assert torch.allclose(ours[0], torch.stack([below[0], below[1], below.mean()]))
    assert (ours[1] == 0).all()


def test_ranking_prefers_the_right_order_and_stays_finite():
    own = torch.tensor([[0.1, 0.5, 0.9]])
    truth = torch.stack([own, torch.ones(1, 3)], dim=-1)
    right = torch.tensor([[[-500.0], [0.0], [500.0]]], requires_grad=True)
    loss = losses.ranking(right, truth)
    assert loss.sum() < 1e-6
    wrong = losses.ranking(-right, truth).mean()
    wrong.backward()
    assert wrong.isfinite()
    assert wrong > 100
    assert right.grad is not None
    assert right.grad.isfinite().all()


def test_tempered_cross_entropy_is_that_of_the_logits_over_the_temperature():
    soft = TRUTH.softmax(dim=-1)
    logits = PREDICTED.numpy().astype(np.float64) / 0.12
    log_sum = np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    reference = -(soft.numpy() * (logits - log_sum)).sum(axis=-1)
    loss = losses.TemperedCrossEntropy()
    assert loss.temperature == 0.12
    assert same(loss(PREDICTED, soft), reference)
    plain = losses.TemperedCrossEntropy(temperature=1.0)(PREDICTED, soft)
    assert torch.allclose(plain, losses.cross_entropy(PREDICTED, soft))
    with pytest.raises(RecipeError, match="temperature must be > 0, got 0"):
        losses.TemperedCrossEntropy(temperature=0.0)


def test_smooth_l1_bends_at_beta():
    errors = torch.tensor([[[0.5], [3.0]]])
    bent = losses.SmoothL1(beta=2.0)(errors, torch.zeros(1, 2, 1))
    assert bent.tolist() == [[0.5**2 / 4, 3.0 - 1.0]]
    with pytest.raises(RecipeError, match="beta must be > 0"):
        losses.SmoothL1(beta=0.0)
