"""Losses per token: `(predicted, truth) -> (rows n)` in fp32. Reductions happen in objective.py."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def mse(predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]) -> Float[Tensor, "r n"]:
    """Mean squared error over a token's values."""
    return (predicted - truth).square().mean(dim=-1)


def l1(predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]) -> Float[Tensor, "r n"]:
    """Mean absolute error over a token's values."""
    return (predicted - truth).abs().mean(dim=-1)


def smooth_l1(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Mean Huber-like error over a token's values, quadratic below 1."""
    return F.smooth_l1_loss(predicted, truth, reduction="none").mean(dim=-1)


def cross_entropy(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Cross-entropy of p logits; truth has t = 1 class index, or t = p probabilities."""
    if truth.shape[-1] == 1:
        classes = truth.squeeze(-1).long()
        return F.cross_entropy(predicted.transpose(1, 2), classes, reduction="none")
    return -(truth * predicted.log_softmax(dim=-1)).sum(dim=-1)


def bce(predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]) -> Float[Tensor, "r n"]:
    """Binary cross-entropy of logits, averaged over a token's values; truth in [0, 1]."""
    return F.binary_cross_entropy_with_logits(predicted, truth, reduction="none").mean(dim=-1)
