"""Losses that only tables use: `(predicted, truth) -> (rows n)` in fp32."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def cell_loss(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Squared error of the standardised number, or cross-entropy over the column's own categories.

    `truth` is that of `Cells`.
    """
    number, category, num_categories = truth.float().unbind(dim=-1)
    squared = (predicted[..., 0].float() - number).square()
    if predicted.shape[-1] == 1:
        return squared
    logits = own_logits(predicted, num_categories)
    entropy = F.cross_entropy(logits.flatten(0, 1), category.long().flatten(), reduction="none")
    return torch.where(num_categories > 0, entropy.view_as(squared), squared)


def scaled_cell_loss(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Squared error of sigmoid(predicted) as a share of the column's range, or cross-entropy over
    the column's own categories. `truth` is that of `ScaledCells`.
    """
    return cell_loss(with_first(predicted, predicted[..., 0].sigmoid()), truth)


def own_logits(
    predicted: Float[Tensor, "r n p"], num_categories: Float[Tensor, "r n"]
) -> Float[Tensor, "r n q"]:
    """The logits with those of other columns' categories at a low finite number.

    Finite, because a column of numbers has none of its own, and its unused entropy would be NaN.
    """
    logits = predicted[..., 1:].float()
    classes = torch.arange(logits.shape[-1], device=logits.device)
    foreign = classes >= num_categories[..., None]
    return logits.masked_fill(foreign, -1e9)


def with_first(values: Tensor, first: Tensor) -> Tensor:
    return torch.cat([first[..., None], values[..., 1:]], dim=-1)
