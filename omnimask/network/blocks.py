"""Pre-norm transformer blocks on packed rows, from timm's layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.network.attention import Attention, AttentionPath
from omnimask.tokens.packing import Lengths, row_of_token


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockStyle:
    """What the blocks of a transformer are made of; the defaults are the plain ViT's.

    `layer_scale`: initial value of a learned scale per channel (https://arxiv.org/abs/2103.17239),
    None for no scale. `swiglu`: gated MLP with two thirds of the hidden width, so that the number
    of weights stays (https://arxiv.org/abs/2002.05202). `qk_norm`: queries and keys normalised per
    head. `norm_eps`: added to variances in norms. `attention`: "varlen" takes one variable-length
    call on CUDA in half precision.
    """

    mlp_ratio: float = 4.0
    norm: Literal["layer", "rms"] = "layer"
    norm_eps: float = 1e-6
    swiglu: bool = False
    qk_norm: bool = False
    layer_scale: float | None = None
    attention: AttentionPath = "dense"

    def build_norm(self, dim: int) -> nn.Module:
        kind = nn.LayerNorm if self.norm == "layer" else nn.RMSNorm
        return kind(dim, eps=self.norm_eps)

    def build_scale(self, dim: int) -> nn.Module:
        from timm.layers.layer_scale import LayerScale

        return nn.Identity() if self.layer_scale is None else LayerScale(dim, self.layer_scale)

    def build_mlp(self, dim: int) -> nn.Module:
        from timm.layers.mlp import Mlp, SwiGLU

        if self.swiglu:
            return SwiGLU(dim, hidden_features=_whole(dim * self.mlp_ratio * 2 / 3))
        return Mlp(dim, hidden_features=_whole(dim * self.mlp_ratio))


def _whole(width: float) -> int:
    """Rounded down, except from the hair below a whole number that a quotient may leave."""
    return int(width + 1e-6)


def check_heads(owner: str, width: int, num_heads: int) -> None:
    """RecipeError unless the heads divide the width into an even head width (rotary pairs)."""
    if width % num_heads or (width // num_heads) % 2:
        raise RecipeError(
            f"{owner}: width must be num_heads times an even number, got width={width}, "
            f"num_heads={num_heads}; write for example num_heads={max(width // 64, 1)}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """How the packed sequence is cut: per group, the lengths of its rows; and what is known of the
    tokens and rows beside their vectors.

    Of each token, where the encoder uses it: `angles` by which it is rotated, `places` that are
    added to it in front of every block, and `cells` (`RelativePlaces.of`), from which the encoder
    makes `pairs`: per group, the entry of the bias table for every two tokens of a row. `rngs` has
    one `Rng` per group, one stream per row; without it no branch is dropped. `allowed` narrows, in
    a single group, which tokens of a row see one another (`attend_allowed`).
    """

    groups: tuple[Lengths, ...]
    angles: Float[Tensor, "t half"] | None = None
    places: Float[Tensor, "t d"] | None = None
    cells: Int64[Tensor, "t 2"] | None = None
    pairs: tuple[Int64[Tensor, "..."], ...] | None = None
    rngs: tuple[Rng, ...] | None = None
    allowed: Bool[Tensor, "r heads n n"] | None = None


class DropPath(nn.Module):
    """Drops a residual branch for whole rows (https://arxiv.org/abs/1603.09382, section 3).

    The choice is a function of the sample's key, so it is the same on one process or many.
    """

    def __init__(self, probability: float, name: str) -> None:
        super().__init__()
        self.probability, self.name = probability, name

    def forward(self, x: Float[Tensor, "t d"], rows: Rows) -> Float[Tensor, "t d"]:
        if not self.training or self.probability == 0.0 or rows.rngs is None:
            return x
        kept = [rng.child(self.name).uniform(1) >= self.probability for rng in rows.rngs]
        factors = [
            keep.index_select(0, row_of_token(lengths, x.device))
            for keep, lengths in zip(kept, rows.groups, strict=True)
        ]
        return x * (torch.cat(factors).to(x.dtype) / (1.0 - self.probability))


class Block(nn.Module):
    """Norm, attention, norm, MLP, each branch added to the stream."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        style: BlockStyle,
        *,
        num_relative: int = 0,
        drop_path: float = 0.0,
        name: str = "",
    ) -> None:
        super().__init__()
        self.norm1 = style.build_norm(dim)
        self.attn = Attention(
            dim,
            num_heads,
            qk_norm=style.qk_norm,
            num_relative=num_relative,
            path=style.attention,
        )
        self.scale1 = style.build_scale(dim)
        self.drop1 = DropPath(drop_path, f"{name} attention")
        self.norm2 = style.build_norm(dim)
        self.mlp = style.build_mlp(dim)
        self.scale2 = style.build_scale(dim)
        self.drop2 = DropPath(drop_path, f"{name} mlp")

    def forward(self, x: Float[Tensor, "t d"], rows: Rows) -> Float[Tensor, "t d"]:
        if rows.places is not None:
            x = x + rows.places
        attended = self.attn(
            self.norm1(x),
            groups=rows.groups,
            angles=rows.angles,
            pairs=rows.pairs,
            allowed=rows.allowed,
        )
        x = x + self.drop1(self.scale1(attended), rows)
        return x + self.drop2(self.scale2(self.mlp(self.norm2(x))), rows)


class CrossBlock(nn.Module):
    """Norm, attention to a context, norm, MLP: queries never see one another."""

    def __init__(self, dim: int, num_heads: int, style: BlockStyle, *, context_dim: int) -> None:
        super().__init__()
        self.norm1 = style.build_norm(dim)
        self.norm_context = style.build_norm(context_dim)
        self.attn = Attention(
            dim, num_heads, context_dim=context_dim, qk_norm=style.qk_norm, path=style.attention
        )
        self.scale1 = style.build_scale(dim)
        self.norm2 = style.build_norm(dim)
        self.mlp = style.build_mlp(dim)
        self.scale2 = style.build_scale(dim)

    def forward(
        self,
        x: Float[Tensor, "t d"],
        context: Float[Tensor, "s c"],
        *,
        lengths: Lengths,
        context_lengths: Lengths,
    ) -> Float[Tensor, "t d"]:
        attended = self.attn(
            self.norm1(x),
            groups=[lengths],
            context=self.norm_context(context),
            context_groups=[context_lengths],
        )
        x = x + self.scale1(attended)
        return x + self.scale2(self.mlp(self.norm2(x)))


def initialise(module: nn.Module, *, exclude: Sequence[nn.Module] = ()) -> None:
    """Xavier-uniform linear layers with zero bias, as MAE and its followers initialise them."""
    skipped = {id(inner) for outer in exclude for inner in outer.modules()}
    for inner in module.modules():
        if isinstance(inner, nn.Linear) and id(inner) not in skipped:
            nn.init.xavier_uniform_(inner.weight)
            if inner.bias is not None:
                nn.init.zeros_(inner.bias)
