"""CellEmbedding: a cell's value and its column as one vector."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor, nn

from modalities.tabular.schema import Column


class CellEmbedding(nn.Module):
    """`bias[column] + number * weight[column]`, or `bias[column] + category[column, code]`.

    The feature tokenizer of FT-Transformer (https://arxiv.org/abs/2106.11959, section 3.1), which
    also has the initial range 1 / sqrt(dim). A category that training rows did not have (code 0) is
    its column's bias alone: nothing but that the cell is not empty.
    """

    def __init__(self, dim: int, columns: Sequence[Column]) -> None:
        super().__init__()
        sizes = [len(column.categories) for column in columns]
        self.weight = _uniform(len(columns), dim)
        self.bias = _uniform(len(columns), dim)
        self.categories = _uniform(sum(sizes), dim) if sum(sizes) else None
        firsts = torch.tensor([0, *accumulate(sizes)][: len(sizes)])
        self.register_buffer("first_rows", firsts, persistent=False)
        self.first_rows: Tensor

    def forward(self, values: Float[Tensor, "k v"]) -> Float[Tensor, "k d"]:
        column, code = values[:, 0].long(), values[:, 2].long()
        embedded = self.bias[column] + values[:, 1, None] * self.weight[column]
        if self.categories is None:
            return embedded
        rows = (self.first_rows[column] + code - 1).clamp(0, len(self.categories) - 1)
        return embedded + self.categories[rows] * (code > 0)[:, None]


def _uniform(rows: int, dim: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(rows, dim).uniform_(-(dim**-0.5), dim**-0.5))
