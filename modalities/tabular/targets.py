"""Cells: what a hidden cell is asked for, and its loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.tabular.tokens import CODE, NUM_CATEGORIES, NUMBER, TableCells
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """The standardised number of a number or date, the category of any other cell.

    A prediction is one number and as many logits as the column with the most categories has;
    `cell_loss` uses those that a cell's column has. A category that training rows did not have is
    not known: there is no class to predict.
    """

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    @property
    def restores_with(self) -> str:
        return ""

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        if not isinstance(modality, TableCells):
            raise RecipeError(
                f"Cells is a target for TableCells, got {modality.name!r}, a "
                f"{type(modality).__name__}; use omnimask.objectives.targets.Content for it"
            )
        return 1 + max((len(column.categories) for column in modality.columns), default=0)

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        unseen = (tokens.values[..., NUM_CATEGORIES] > 0) & (tokens.values[..., CODE] == 0)
        return tokens.scorable & ~unseen

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        """(number, class from 0, number of classes or 0 for a number)."""
        values = tokens.values.float()
        number, code, num_categories = (values[..., i] for i in (NUMBER, CODE, NUM_CATEGORIES))
        return torch.stack([number, (code - 1).clamp_min(0), num_categories], dim=-1)

    def restore(
        self, predicted: Float[Tensor, "b n p"], tokens: Tokens, /
    ) -> Float[Tensor, "b n v"] | None:
        """The predicted number, or the code of the likeliest category of the cell's column."""
        values = tokens.values.float()
        num_categories = values[..., NUM_CATEGORIES]
        is_number = num_categories == 0
        number = predicted[..., 0].float().where(is_number, 0.0)
        code = torch.zeros_like(number)
        if predicted.shape[-1] > 1:
            logits = _own_logits(predicted, num_categories)
            code = (logits.argmax(dim=-1) + 1.0).where(~is_number, 0.0)
        column, rest = values[..., :NUMBER], values[..., NUM_CATEGORIES:]
        return torch.cat([column, torch.stack([number, code], dim=-1), rest], dim=-1)


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
    logits = _own_logits(predicted, num_categories)
    entropy = F.cross_entropy(logits.flatten(0, 1), category.long().flatten(), reduction="none")
    return torch.where(num_categories > 0, entropy.view_as(squared), squared)


def _own_logits(
    predicted: Float[Tensor, "r n p"], num_categories: Float[Tensor, "r n"]
) -> Float[Tensor, "r n q"]:
    """The logits with those of other columns' categories at a low finite number.

    Finite, because a column of numbers has none of its own, and its unused entropy would be NaN.
    """
    logits = predicted[..., 1:].float()
    classes = torch.arange(logits.shape[-1], device=logits.device)
    foreign = classes >= num_categories[..., None]
    return logits.masked_fill(foreign, -1e9)
