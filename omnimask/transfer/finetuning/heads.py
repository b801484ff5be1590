"""One vector per sample, normalised, to the task's outputs."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.network.blocks import CrossBlock
from omnimask.network.encoder import Encoded, Encoder
from omnimask.network.initialisation import initialise
from omnimask.network.pooling import pool
from omnimask.tokens.tokens import Rows
from omnimask.transfer.finetuning.batch_norm import BatchNorm
from omnimask.transfer.probing.knn import mean_and_scale, white_axes

HeadPooling = Literal["mean", "cls", "attentive"]
HeadNorm = Literal["layer", "batch", "probe"]


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
        num_visible = encoded.plan.num_visible
        num_rows = len(num_visible)
        context_rows = Rows.of((encoded.num_prefix,) * num_rows, num_visible)
        context = context_rows.join(encoded.prefix[0], encoded.visible[0])
        query, one_each = self.query.expand(num_rows, -1), Rows.of((1,) * num_rows)
        return self.block(query, context, rows=one_each, context_rows=context_rows)


class Whitening(nn.Module):
    """A fixed map to uncorrelated features of deviation 1, as `probing.knn.whiten` makes
    them; the identity until `fit` has seen features. Fewer features are filled up with zeros.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("axes", torch.eye(width))

    @torch.no_grad()
    def fit(self, features: Float[Tensor, "n d"], *, floor: float) -> None:
        """To training samples; `floor` is that of `omnimask.transfer.probing.knn.white_axes`."""
        values = features.cpu().numpy()
        mean, scale = mean_and_scale(values)
        axes = scale[:, None] * white_axes((values - mean) * scale, floor=floor)
        self.mean.copy_(torch.from_numpy(mean))
        self.axes.zero_()[:, : axes.shape[1]].copy_(torch.from_numpy(axes))

    def forward(self, x: Float[Tensor, "r d"]) -> Float[Tensor, "r d"]:
        # In fp32: bf16 would round away the small directions that are made large here.
        with torch.autocast(x.device.type, enabled=False):
            return (x.float() - self.mean) @ self.axes


def _build_norm(kind: HeadNorm, width: int) -> nn.Module:
    if kind == "probe":
        return Whitening(width)
    return BatchNorm(width) if kind == "batch" else nn.LayerNorm(width, eps=1e-6)


class Head(nn.Module):
    """Pools, normalises and maps linearly; the last layer begins near zero, or, with the norm
    "probe", where `omnimask.transfer.finetuning.head_start` puts it.
    """

    def __init__(
        self, encoder: Encoder, num_outputs: int, *, pooling: HeadPooling, norm: HeadNorm
    ) -> None:
        super().__init__()
        self.pooling: HeadPooling = pooling
        self.attentive = AttentivePool(encoder) if pooling == "attentive" else None
        self.norm = _build_norm(norm, encoder.width)
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
