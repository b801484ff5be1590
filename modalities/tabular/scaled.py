"""ScaledCells: numbers as shares of their column's range."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.tabular.targets import Cells, cell_loss
from modalities.tabular.tokens import HIGH, LOW, NUM_CATEGORIES
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Tokens


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
        return Cells().restore(_with_first(predicted.float(), number), tokens)


def scaled_cell_loss(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Squared error of sigmoid(predicted) as a share of the column's range, or cross-entropy over
    the column's own categories. `truth` is that of `ScaledCells`.
    """
    return cell_loss(_with_first(predicted, predicted[..., 0].sigmoid()), truth)


def _range(tokens: Tokens) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """The smallest number of each cell's column, and how far the largest is from it."""
    values = tokens.values.float()
    return values[..., LOW], values[..., HIGH] - values[..., LOW]


def _with_first(values: Tensor, first: Tensor) -> Tensor:
    return torch.cat([first[..., None], values[..., 1:]], dim=-1)
