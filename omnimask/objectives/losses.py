"""Losses per token: `(predicted, truth) -> (rows n)` in fp32. Reductions happen in objective.py."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError


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


def cosine(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """1 - cosine similarity, in [0, 2] (BEiT v2's tokenizer, https://arxiv.org/abs/2208.06366,
    section 2.2).
    """
    return 1.0 - F.cosine_similarity(predicted, truth, dim=-1)


def ranking(
    predicted: Float[Tensor, "r n 1"], truth: Float[Tensor, "r n 2"]
) -> Float[Tensor, "r n"]:
    """Is a token harder than the others of its row? HPM, https://arxiv.org/abs/2304.05919,
    section 3.2, relative loss.

    `truth` is a token's own loss and 1 where it counts, else 0. A token's result is the mean, over
    the counted tokens whose loss is not the same, of the binary cross-entropy of the logit
    p_i - p_j with [loss_i > loss_j]; 0 for a token that does not count or has none to compare with.
    Where rows count equally many tokens, and no losses are equal, the mean over tokens is the
    official mean over pairs (which adds 1e-6 within its logarithms).
    """
    losses, counted = truth[..., 0], truth[..., 1] > 0
    harder = losses[:, :, None] > losses[:, None, :]
    easier = losses[:, :, None] < losses[:, None, :]
    pairs = (harder | easier) & counted[:, :, None] & counted[:, None, :]
    difference = predicted - predicted.transpose(1, 2)
    errors = F.binary_cross_entropy_with_logits(difference, harder.float(), reduction="none")
    total = torch.where(pairs, errors, 0.0).sum(dim=2)
    return total / pairs.sum(dim=2).clamp_min(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TemperedCrossEntropy:
    """Cross-entropy of logits / `temperature` with a truth of p probabilities.

    CAPI, https://arxiv.org/abs/2502.08769; the truth is that of `OnlineClusters`. There the
    student's logits are cosines, between the prediction and prototypes of its own, with a learned
    length for each prototype; here they are those of the objective's linear head.
    """

    temperature: float = 0.12

    def __post_init__(self) -> None:
        if not self.temperature > 0.0:
            raise RecipeError(
                f"TemperedCrossEntropy.temperature must be > 0, got {self.temperature}; write 0.12"
            )

    def __call__(
        self, predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n p"], /
    ) -> Float[Tensor, "r n"]:
        return -(truth * (predicted / self.temperature).log_softmax(dim=-1)).sum(dim=-1)
