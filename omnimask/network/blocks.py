"""Pre-norm transformer blocks on packed rows; attention runs per group on dense blocks, or in one
variable-length call on a GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.network.relative import look_up
from omnimask.tokens.tokens import Rows, host_index

AttentionPath = Literal["dense", "varlen"]

# Below this many keys the plain softmax is faster than torch's CPU flash kernel in bf16 where the
# CPU multiplies bf16 in hardware, because that kernel's backward pass dominates the step; in fp32,
# and on older CPUs, the kernel is as fast or faster at every length. docs/speed.md.
PLAIN_BELOW = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockStyle:
    """What the blocks of a transformer are made of; the defaults are the plain ViT's.

    `layer_scale`: initial value of a learned scale per channel (https://arxiv.org/abs/2103.17239),
    None for no scale. `swiglu`: gated MLP with two thirds of the hidden width, so that the number
    of weights stays (https://arxiv.org/abs/2002.05202). `act`: of an MLP without a gate,
    "quick_gelu" is x sigmoid(1.702 x) as in CLIP. `sub_norm`: one more norm in the MLP, before its
    last layer, and in the attention, before its output layer (EVA-02,
    https://arxiv.org/abs/2303.11331, section 2.1). `qk_norm`: queries and keys normalised per head.
    `norm_eps`: added to variances in norms. `attention`: "varlen" takes one variable-length call on
    CUDA in half precision. `kind`: "crate" and "crate_inverse" are the coding and decoding blocks
    of `crate.py`, which use `norm` and `norm_eps` alone of the other fields.
    """

    kind: Literal["vit", "crate", "crate_inverse"] = "vit"

    mlp_ratio: float = 4.0
    norm: Literal["layer", "rms"] = "layer"
    norm_eps: float = 1e-6
    swiglu: bool = False
    act: Literal["gelu", "quick_gelu"] = "gelu"
    sub_norm: bool = False
    qk_norm: bool = False
    layer_scale: float | None = None
    attention: AttentionPath = "dense"

    def build_norm(self, dim: int, *, weights: bool = True) -> nn.Module:
        """`weights`: with a learned scale (and shift) per channel."""
        kind = nn.LayerNorm if self.norm == "layer" else nn.RMSNorm
        return kind(dim, eps=self.norm_eps, elementwise_affine=weights)

    def build_scale(self, dim: int) -> nn.Module:
        from timm.layers.layer_scale import LayerScale

        return nn.Identity() if self.layer_scale is None else LayerScale(dim, self.layer_scale)

    def build_mlp(self, dim: int) -> nn.Module:
        from timm.layers.mlp import Mlp, SwiGLU

        # timm hands a device and a type on, which are the default's here.
        norm: Any = (lambda width, **_: self.build_norm(width)) if self.sub_norm else None
        if self.swiglu:
            hidden = _whole(dim * self.mlp_ratio * 2 / 3)
            return SwiGLU(dim, hidden_features=hidden, norm_layer=norm)
        act = nn.GELU if self.act == "gelu" else QuickGELU
        hidden = _whole(dim * self.mlp_ratio)
        return Mlp(dim, hidden_features=hidden, act_layer=act, norm_layer=norm)


class QuickGELU(nn.Module):
    """CLIP's approximation of GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


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
class Packing:
    """How a packed sequence of several groups is cut into rows, and what blocks know of its tokens
    and rows beside their vectors.

    Of each token, where the encoder uses it: `angles` by which it is rotated, `positions` that are
    added to it in front of every block, and `cells` (`RelativePlaces.of`), from which the encoder
    makes `pairs`: per group (r n n), the entry of the bias table for every query and key of a row;
    or `biases`, per group (r h n n), where all blocks have one table. `rngs` has one `Rng` per
    group, one stream per row; without it no branch is dropped. `allowed` narrows, in a single
    group, which tokens of a row see one another (`attend_packed`).
    """

    groups: tuple[Rows, ...]
    angles: Float[Tensor, "t half"] | None = None
    positions: Float[Tensor, "t d"] | None = None
    cells: Int64[Tensor, "t 2"] | None = None
    pairs: tuple[Int64[Tensor, "..."], ...] | None = None
    biases: tuple[Float[Tensor, "..."], ...] | None = None
    rngs: tuple[Rng, ...] | None = None
    allowed: Bool[Tensor, "r heads n n"] | None = None


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
            sub_norm=style.build_norm(dim) if style.sub_norm else None,
            path=style.attention,
        )
        self.scale1 = style.build_scale(dim)
        self.drop1 = DropPath(drop_path, f"{name} attention")
        self.norm2 = style.build_norm(dim)
        self.mlp = style.build_mlp(dim)
        self.scale2 = style.build_scale(dim)
        self.drop2 = DropPath(drop_path, f"{name} mlp")

    def forward(self, x: Float[Tensor, "t d"], packing: Packing) -> Float[Tensor, "t d"]:
        if packing.positions is not None:
            x = x + packing.positions
        attended = self.attn(self.norm1(x), packing)
        x = x + self.drop1(self.scale1(attended), packing)
        return x + self.drop2(self.scale2(self.mlp(self.norm2(x))), packing)


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
        rows: Rows,
        context_rows: Rows,
    ) -> Float[Tensor, "t d"]:
        attended = self.attn(
            self.norm1(x),
            Packing(groups=(rows,)),
            context=self.norm_context(context),
            context_rows=(context_rows,),
        )
        x = x + self.scale1(attended)
        return x + self.scale2(self.mlp(self.norm2(x)))


class DropPath(nn.Module):
    """Drops a residual branch for whole rows (https://arxiv.org/abs/1603.09382, section 3).

    The choice is a function of the sample's key, so it is the same on one process or many.
    """

    def __init__(self, probability: float, name: str) -> None:
        super().__init__()
        self.probability, self.name = probability, name

    def forward(self, x: Float[Tensor, "t d"], packing: Packing) -> Float[Tensor, "t d"]:
        if not self.training or self.probability == 0.0 or packing.rngs is None:
            return x
        kept = [rng.child(self.name).uniform(1) >= self.probability for rng in packing.rngs]
        factors = [
            keep.index_select(0, rows.row_of_token(x.device))
            for keep, rows in zip(kept, packing.groups, strict=True)
        ]
        return x * (torch.cat(factors).to(x.dtype) / (1.0 - self.probability))


class Attention(nn.Module):
    """Multi-head attention of packed rows to themselves, or to packed rows of a context.

    `qk_norm` normalises queries and keys per head (https://arxiv.org/abs/2302.05442, section 2).
    `num_relative`: entries of a learned bias table, which starts at zero; 0 for none of its own.
    `sub_norm`: a norm of what the heads say, before the output layer.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        context_dim: int | None = None,
        qk_norm: bool = False,
        num_relative: int = 0,
        sub_norm: nn.Module | None = None,
        path: AttentionPath = "dense",
    ) -> None:
        super().__init__()
        self.width, self.num_heads = dim, num_heads
        self.path: AttentionPath = path
        self.q = nn.Linear(dim, dim) if context_dim else None
        self.kv = nn.Linear(context_dim, 2 * dim) if context_dim else None
        self.qkv = None if context_dim else nn.Linear(dim, 3 * dim)
        head_dim = dim // num_heads
        self.q_norm = nn.RMSNorm(head_dim) if qk_norm else None
        self.k_norm = nn.RMSNorm(head_dim) if qk_norm else None
        self.relative = nn.Parameter(torch.zeros(num_relative, num_heads)) if num_relative else None
        self.sub_norm = sub_norm
        self.proj = nn.Linear(dim, dim)

    def forward(
        self,
        x: Float[Tensor, "t dim"],
        packing: Packing,
        *,
        context: Float[Tensor, "s context"] | None = None,
        context_rows: Sequence[Rows] | None = None,
    ) -> Float[Tensor, "t dim"]:
        """Of rows to themselves, or to the rows of a context."""
        q, k, v = self._heads(x, packing, context)
        groups = packing.groups
        key_groups = groups if context_rows is None else context_rows
        masks = self._masks(packing)
        assert masks is None or context is None, "only attention of rows to themselves is narrowed"
        out = attend_packed(
            q, k, v, groups=groups, key_groups=key_groups, masks=masks, path=self.path
        )
        out = out.flatten(1)
        return self.proj(out if self.sub_norm is None else self.sub_norm(out))

    def weights(self, x: Float[Tensor, "t dim"], packing: Packing) -> list[Tensor]:
        """How much each token of a row attends to each, per group (r h n n): what `forward` never
        has as numbers. For pictures.
        """
        q, k, _ = self._heads(x, packing, None)
        return attention_weights(q, k, groups=packing.groups, masks=self._masks(packing))

    def _heads(
        self, x: Tensor, packing: Packing, context: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as they meet."""
        if self.qkv is not None:
            q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        else:
            assert self.q is not None
            assert self.kv is not None
            assert context is not None, "cross-attention was built with context_dim"
            k, v = self.kv(context).unflatten(-1, (2, self.num_heads, -1)).unbind(1)
            q = self.q(x).unflatten(-1, (self.num_heads, -1))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)
        if packing.angles is not None:
            q, k = rotate(q, packing.angles), rotate(k, packing.angles)
        return q, k, v

    def _masks(self, packing: Packing) -> Sequence[Tensor] | None:
        biases = packing.biases
        if self.relative is not None:
            assert packing.pairs is not None, "a bias table needs to know where tokens stand"
            biases = [look_up(self.relative, entries) for entries in packing.pairs]
        if packing.allowed is None:
            return biases
        if biases is None:
            return [packing.allowed]
        return [bias.masked_fill(~packing.allowed, float("-inf")) for bias in biases]


def attention_weights(
    q: Float[Tensor, "t h d"],
    k: Float[Tensor, "t h d"],
    *,
    groups: Sequence[Rows],
    masks: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """The softmax of each row's scores, per group (r h n n) in fp32; padded keys have zero, padded
    queries mean nothing. `masks` as in `attend_packed`.
    """
    sizes = [rows.num_tokens for rows in groups]
    found = []
    for number, (queries, keys, rows) in enumerate(zip(q.split(sizes), k.split(sizes), groups)):
        a, b = (rows.unpack(part).transpose(1, 2).float() for part in (queries, keys))
        mask = None if masks is None else masks[number]
        found.append(_plain_weights(a, b, rows.narrowed(mask, q.device)))
    return found


def attend_packed(
    q: Float[Tensor, "t h d"],
    k: Float[Tensor, "s h d"],
    v: Float[Tensor, "s h d"],
    *,
    groups: Sequence[Rows],
    key_groups: Sequence[Rows],
    masks: Sequence[Shaped[Tensor, "..."]] | None = None,
    path: AttentionPath = "dense",
) -> Float[Tensor, "t h d"]:
    """Each row of each group attends to the same row of the same key group, and to nothing else.

    `path`: "dense" is one call per group on rows padded to the group's longest; "varlen" is one
    call of `torch.nn.attention.varlen` for all groups (CUDA, half precision). `masks` narrow it, a
    dense one per group (r h n m): a bias of each query and key, or, where a query may attend to a
    key, True; then a padded query needs a key too, and no real one may attend to a padded key.
    """
    if masks is None and path == "varlen" and q.is_cuda and q.dtype in (torch.half, torch.bfloat16):
        return _attend_varlen(q, k, v, groups, key_groups)
    query_sizes = [rows.num_tokens for rows in groups]
    key_sizes = [rows.num_tokens for rows in key_groups]
    per_group = zip(
        *(q.split(query_sizes), k.split(key_sizes), v.split(key_sizes)),
        *(groups, key_groups, [None] * len(groups) if masks is None else masks),
        strict=True,
    )
    attended = [_attend_group(*group) for group in per_group]
    return attended[0] if len(attended) == 1 else torch.cat(attended)


def _attend_group(
    q: Float[Tensor, "t h d"], k: Tensor, v: Tensor, rows: Rows, keys: Rows, mask: Tensor | None
) -> Float[Tensor, "t h d"]:
    """One group on rows padded to the longest; a bias is never added to padded keys."""
    padded = [part.unpack(x).transpose(1, 2) for x, part in ((q, rows), (k, keys), (v, keys))]
    mask = keys.narrowed(mask, q.device)
    if mask is not None and mask.is_floating_point():
        mask = mask.to(q.dtype)
    return rows.pack(attend(padded[0], padded[1], padded[2], mask).transpose(1, 2))


def _attend_varlen(
    q: Tensor, k: Tensor, v: Tensor, groups: Sequence[Rows], key_groups: Sequence[Rows]
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    lengths, key_lengths = (
        [n for rows in parts for n in rows.lengths] for parts in (groups, key_groups)
    )
    bounds = [
        host_index(list(accumulate(n, initial=0)), q.device).to(torch.int32)
        for n in (lengths, key_lengths)
    ]
    out = varlen_attn(q, k, v, bounds[0], bounds[1], max(lengths), max(key_lengths))
    assert isinstance(out, Tensor), "varlen_attn returns one tensor unless asked for more"
    return out


def attend(
    q: Float[Tensor, "r h n d"],
    k: Float[Tensor, "r h m d"],
    v: Float[Tensor, "r h m d"],
    mask: Shaped[Tensor, "..."] | None = None,
) -> Float[Tensor, "r h n d"]:
    """Softmax attention on one dense block. `mask` as in torch's: True where a query may attend to
    a key, or numbers that are added to the scores.
    """
    if _plain_is_faster(q, k.shape[2]):
        return attend_plainly(q, k, v, mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _plain_is_faster(q: Tensor, num_keys: int) -> bool:
    return (
        q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and num_keys < PLAIN_BELOW
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
    )


def attend_plainly(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """The same, written out: softmax in fp32 whatever the input."""
    return _plain_weights(q, k, mask).to(v.dtype) @ v


def _plain_weights(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None and mask.is_floating_point():
        scores = scores + mask
    elif mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1, dtype=torch.float32)


def rotate(x: Float[Tensor, "t h d"], angles: Float[Tensor, "t half"]) -> Float[Tensor, "t h d"]:
    """Rotates pair (i, i + d/2) of every head by `angles`; `positions.rotary_angles` makes them."""
    cos, sin = angles.cos()[:, None].to(x.dtype), angles.sin()[:, None].to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
