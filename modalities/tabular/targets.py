"""What a hidden cell is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.tabular.losses import own_logits, with_first
from modalities.tabular.modality import TableCells
from modalities.tabular.values import CODE, HIGH, LOW, NUM_CATEGORIES, NUMBER
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
            logits = own_logits(predicted, num_categories)
            code = (logits.argmax(dim=-1) + 1.0).where(~is_number, 0.0)
        column, rest = values[..., :NUMBER], values[..., NUM_CATEGORIES:]
        return torch.cat([column, torch.stack([number, code], dim=-1), rest], dim=-1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaledCells:
    """A number or date as a share of its column's range: 0 is the smallest number of the training
    rows, 1 the largest. The category of any other cell, as `Cells` has it.

    For `scaled_cell_loss`. ReMasker, https://arxiv.org/abs/2309.13793. A held-out number may lie
    outside of [0, 1], where no prediction reaches it. In a column of one value every share is 0.
    """

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    @property
    def restores_with(self) -> str:
        return ""

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return Cells().num_predicted(modality, teacher_dim)

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return Cells().known(tokens)

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        """(share, class from 0, number of classes or 0 for a number)."""
        cells = Cells()(modality, tokens)
        low, extent = _range(tokens)
        share = (cells[..., 0] - low) / torch.where(extent > 0, extent, 1.0)
        is_number = tokens.values[..., NUM_CATEGORIES] == 0
        share = torch.where(is_number & (extent > 0), share, 0.0)
        return torch.cat([share[..., None], cells[..., 1:]], dim=-1)

    def restore(
        self, predicted: Float[Tensor, "b n p"], tokens: Tokens, /
    ) -> Float[Tensor, "b n v"] | None:
        """The predicted number, or the code of the likeliest category of the cell's column."""
        low, extent = _range(tokens)
        number = low + predicted[..., 0].float().sigmoid() * extent
        return Cells().restore(with_first(predicted.float(), number), tokens)


def _range(tokens: Tokens) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """The smallest number of each cell's column, and how far the largest is from it."""
    values = tokens.values.float()
    return values[..., LOW], values[..., HIGH] - values[..., LOW]
