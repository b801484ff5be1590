"""One vector per sample, normalised, to the task's outputs."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.backbone import Encoded
from omnimask.blocks import CrossBlock, initialise
from omnimask.encoder import Encoder
from omnimask.finetuning.batch_norm import BatchNorm
from omnimask.packing import interleave
from omnimask.pooling import pool

HeadPooling = Literal["mean", "cls", "attentive"]


class AttentivePool(nn.Module):
    """A learned query that attends to a row's tokens, then an MLP (V-JEPA's attentive probe,
    https://arxiv.org/abs/2404.08471, section 4.3)."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        width = encoder.width
        self.query = nn.Parameter(torch.empty(1, width))
        nn.init.trunc_normal_(self.query, std=0.02)
        self.block = CrossBlock(width, encoder.num_heads, encoder.style, context_dim=width)
        initialise(self.block)

    def forward(self, encoded: Encoded) -> Float[Tensor, "r d"]:
        num_rows = len(encoded.num_visible)
        prefix = (encoded.num_prefix,) * num_rows
        context, lengths = interleave(
            [(encoded.prefix[0], prefix), (encoded.visible[0], encoded.num_visible)]
        )
        query = self.query.expand(num_rows, -1)
        return self.block(query, context, lengths=(1,) * num_rows, context_lengths=lengths)


class Head(nn.Module):
    """Pools, normalises and maps linearly; the last layer begins near zero."""

    def __init__(
        self, encoder: Encoder, num_outputs: int, *, pooling: HeadPooling, norm: str
    ) -> None:
        super().__init__()
        self.pooling: HeadPooling = pooling
        self.attentive = AttentivePool(encoder) if pooling == "attentive" else None
        self.norm = (
            BatchNorm(encoder.width) if norm == "batch" else nn.LayerNorm(encoder.width, eps=1e-6)
        )
        self.linear = nn.Linear(encoder.width, num_outputs)
        nn.init.trunc_normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def features(self, encoded: Encoded) -> Float[Tensor, "r d"]:
        """One vector per row, not yet normalised."""
        if self.attentive is not None:
            return self.attentive(encoded)
        return pool(encoded, "cls" if self.pooling == "cls" else "mean")

    def forward(self, encoded: Encoded) -> Float[Tensor, "r p"]:
        return self.linear(self.norm(self.features(encoded)))
