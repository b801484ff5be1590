import numpy as np
import torch
import torch.nn.functional as F

from omnimask import losses

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
