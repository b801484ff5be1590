"""Heads: from a decoder's features to an objective's prediction, token by token."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.network.initialisation import initialise, initialise_normal


@runtime_checkable
class Head(Protocol):
    """A frozen record of an objective. The module that `build` makes takes the decoder's features
    (r n d) of predicted tokens to (r n p); tokens never mix in it.
    """

    def build(self, width: int, num_predicted: int, /) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearHead:
    """One linear layer. `std`: the deviation of its first weights, None for Xavier-uniform."""

    std: float | None = None

    def build(self, width: int, num_predicted: int, /) -> nn.Module:
        head = nn.Linear(width, num_predicted)
        if self.std is None:
            initialise(head)
        else:
            initialise_normal(head, std=self.std)
        return head


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedHead:
    """The head of another objective, with its weights, on another decoder's features."""

    objective: str

    def build(self, width: int, num_predicted: int, /) -> nn.Module:
        raise AssertionError("the model takes the other objective's")


@dataclass(frozen=True, kw_only=True, slots=True)
class TanhHead:
    """One linear layer, then tanh: for what lies between -1 and 1."""

    def build(self, width: int, num_predicted: int, /) -> nn.Module:
        return nn.Sequential(LinearHead().build(width, num_predicted), nn.Tanh())


@dataclass(frozen=True, kw_only=True, slots=True)
class CosineHead:
    """Cosines between a token and each of p learned directions, each times a learned length.

    The length starts at 1, so that a temperature below one in the loss is that of a cosine: the
    student's head of CAPI (https://arxiv.org/abs/2502.08769; `L2NormLinear` of its model.py).
    """

    def build(self, width: int, num_predicted: int, /) -> nn.Module:
        return _Cosines(width, num_predicted)


class _Cosines(nn.Module):
    def __init__(self, width: int, num_predicted: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.empty(num_predicted, width))
        nn.init.trunc_normal_(self.directions, std=0.02)
        self.lengths = nn.Parameter(torch.ones(num_predicted))

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... p"]:
        weights = F.normalize(self.directions, dim=-1) * self.lengths[:, None]
        return F.linear(F.normalize(x, dim=-1), weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubCells:
    """The same layers for every cell that a token is cut into, `halvings` times in two per axis.

    A token becomes 2 ** axes cells of half the width by one linear layer, which is a transposed
    convolution of stride 2 and kernel 2; again for each halving, with LayerNorm and GELU between;
    then one linear layer predicts for every cell. LocalMIM's upsampling
    (https://arxiv.org/abs/2303.05251, section 3.3). Predictions stand cell by cell, those of the
    first halving slowest, within a halving the last axis fastest.
    """

    halvings: int = 1
    axes: int = 2

    def __post_init__(self) -> None:
        if self.halvings < 1 or self.axes < 1:
            raise RecipeError(
                f"SubCells: halvings and axes must be >= 1, got {self.halvings} and {self.axes}; "
                "write LinearHead() for one cell"
            )

    def build(self, width: int, num_predicted: int, /) -> nn.Module:
        cells = 2 ** (self.axes * self.halvings)
        if num_predicted % cells or width % 2**self.halvings:
            raise RecipeError(
                f"SubCells: {cells} cells must divide the {num_predicted} numbers predicted for a "
                f"token, and {2**self.halvings} the decoder's width {width}; change halvings"
            )
        return _SubCells(self, width, num_predicted // cells)


class _SubCells(nn.Module):
    def __init__(self, config: SubCells, width: int, num_predicted: int) -> None:
        super().__init__()
        widths = [width // 2**number for number in range(config.halvings + 1)]
        self.cells = 2**config.axes
        self.splits = nn.ModuleList(
            nn.Linear(before, self.cells * after) for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(after, eps=1e-6) for after in widths[1:-1])
        self.last = nn.Linear(widths[-1], num_predicted)
        initialise(self)

    def forward(self, x: Float[Tensor, "r n d"]) -> Float[Tensor, "r n p"]:
        for number, split in enumerate(self.splits):
            if number:
                x = F.gelu(self.norms[number - 1](x))
            x = split(x).unflatten(-1, (self.cells, -1))
        return self.last(x).flatten(2)
