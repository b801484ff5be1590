"""Attention over packed rows: dense blocks per group, or one variable-length call on a GPU."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from omnimask.network.relative import look_up
from omnimask.tokens.packing import Lengths, equal, host_index, pack, unpack

AttentionPath = Literal["dense", "varlen"]

# Below this many keys the plain softmax is faster than torch's CPU flash kernel in bf16 where the
# CPU multiplies bf16 in hardware, because that kernel's backward pass dominates the step; in fp32,
# and on older CPUs, the kernel is as fast or faster at every length. docs/speed.md.
PLAIN_BELOW = 256


def attend(
    q: Float[Tensor, "r h n d"],
    k: Float[Tensor, "r h m d"],
    v: Float[Tensor, "r h m d"],
    key_ok: Bool[Tensor, "r m"] | None = None,
) -> Float[Tensor, "r h n d"]:
    """Softmax attention on one dense block; keys that are not `key_ok` are never attended to."""
    return _attend_masked(q, k, v, None if key_ok is None else key_ok[:, None, None, :])


def _attend_masked(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
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
    """The same, written out: softmax in fp32 whatever the input. `mask` as in torch's."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None and mask.is_floating_point():
        scores = scores + mask
    elif mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1, dtype=torch.float32).to(v.dtype) @ v


def rotate(x: Float[Tensor, "t h d"], angles: Float[Tensor, "t half"]) -> Float[Tensor, "t h d"]:
    """Rotates pair (i, i + d/2) of every head by `angles`; `positions.rotary_angles` makes them."""
    cos, sin = angles.cos()[:, None].to(x.dtype), angles.sin()[:, None].to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _valid_keys(lengths: Lengths, device: torch.device) -> Tensor | None:
    if equal(lengths):
        return None
    columns = torch.arange(max(lengths), device=device)
    return columns < host_index(lengths, device)[:, None]


def _attend_block(
    q: Float[Tensor, "t h d"], k: Tensor, v: Tensor, lengths: Lengths, key_lengths: Lengths
) -> Tensor:
    rows = [
        unpack(x, n).transpose(1, 2) for x, n in ((q, lengths), (k, key_lengths), (v, key_lengths))
    ]
    out = attend(rows[0], rows[1], rows[2], _valid_keys(key_lengths, q.device))
    return pack(out.transpose(1, 2), lengths)


def attend_allowed(
    q: Float[Tensor, "t h d"],
    k: Float[Tensor, "t h d"],
    v: Float[Tensor, "t h d"],
    *,
    lengths: Lengths,
    allowed: Bool[Tensor, "r heads n n"],
) -> Float[Tensor, "t h d"]:
    """Each token of a row attends to those of the row that `allowed` (query, key) says, per head.

    n is the longest row, and `heads` all heads or 1 for all alike. A token needs at least one key,
    padded ones too, and no real token may attend to a padded one. Always on dense blocks.
    """
    rows = [unpack(x, lengths).transpose(1, 2) for x in (q, k, v)]
    out = _attend_masked(rows[0], rows[1], rows[2], allowed)
    return pack(out.transpose(1, 2), lengths)


def attend_biased(
    q: Float[Tensor, "t h d"],
    k: Float[Tensor, "t h d"],
    v: Float[Tensor, "t h d"],
    *,
    lengths: Lengths,
    bias: Float[Tensor, "r h n n"],
) -> Float[Tensor, "t h d"]:
    """Each row of one group attends to itself, `bias` (query, key) being added to the scores.

    n is the longest row. Always on dense blocks.
    """
    rows = [unpack(x, lengths).transpose(1, 2) for x in (q, k, v)]
    key_ok = _valid_keys(lengths, q.device)
    if key_ok is not None:
        bias = bias.masked_fill(~key_ok[:, None, None, :], float("-inf"))
    out = _attend_masked(rows[0], rows[1], rows[2], bias.to(q.dtype))
    return pack(out.transpose(1, 2), lengths)


def _attend_varlen(
    q: Tensor, k: Tensor, v: Tensor, lengths: Lengths, key_lengths: Lengths
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    bounds = [
        host_index(list(accumulate(n, initial=0)), q.device).to(torch.int32)
        for n in (lengths, key_lengths)
    ]
    out = varlen_attn(q, k, v, bounds[0], bounds[1], max(lengths), max(key_lengths))
    assert isinstance(out, Tensor), "varlen_attn returns one tensor unless asked for more"
    return out


def attend_packed(
    q: Float[Tensor, "t h d"],
    k: Float[Tensor, "s h d"],
    v: Float[Tensor, "s h d"],
    *,
    groups: Sequence[Lengths],
    key_groups: Sequence[Lengths],
    path: AttentionPath = "dense",
) -> Float[Tensor, "t h d"]:
    """Each row of each group attends to the same row of the same key group, and to nothing else.

    `path`: "dense" is one call per group on rows padded to the group's longest; "varlen" is one
    call of `torch.nn.attention.varlen` for all groups (CUDA, half precision).
    """
    if path == "varlen" and q.is_cuda and q.dtype in (torch.float16, torch.bfloat16):
        lengths = tuple(n for group in groups for n in group)
        return _attend_varlen(q, k, v, lengths, tuple(n for group in key_groups for n in group))
    query_parts = q.split([sum(group) for group in groups])
    key_sizes = [sum(group) for group in key_groups]
    blocks = zip(
        query_parts, k.split(key_sizes), v.split(key_sizes), groups, key_groups, strict=True
    )
    return torch.cat([_attend_block(*block) for block in blocks])


class Attention(nn.Module):
    """Multi-head attention of packed rows to themselves, or to packed rows of a context.

    `qk_norm` normalises queries and keys per head (https://arxiv.org/abs/2302.05442, section 2).
    `num_relative`: entries of a learned bias table, which starts at zero; 0 for no bias.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        context_dim: int | None = None,
        qk_norm: bool = False,
        num_relative: int = 0,
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
        self.proj = nn.Linear(dim, dim)

    def forward(
        self,
        x: Float[Tensor, "t dim"],
        *,
        groups: Sequence[Lengths],
        angles: Float[Tensor, "t half"] | None = None,
        context: Float[Tensor, "s context"] | None = None,
        context_groups: Sequence[Lengths] | None = None,
        pairs: Sequence[Int64[Tensor, "..."]] | None = None,
        allowed: Bool[Tensor, "r heads n m"] | None = None,
    ) -> Float[Tensor, "t dim"]:
        """`allowed` narrows one group's attention to itself; `attend_allowed` says how. `pairs`:
        per group (r n n), the entry of the bias table for every query and key of its rows.
        """
        q, k, v = self._project(x, context)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        if allowed is not None:
            assert context is None, "only attention of rows to themselves can be narrowed"
            (lengths,) = groups
            out = attend_allowed(q, k, v, lengths=lengths, allowed=allowed)
            return self.proj(out.flatten(1))
        if self.relative is not None:
            assert pairs is not None, "an encoder with a bias table says where its tokens stand"
            out = self._attend_relatively(q, k, v, groups, pairs)
            return self.proj(out.flatten(1))
        key_groups = groups if context_groups is None else context_groups
        out = attend_packed(q, k, v, groups=groups, key_groups=key_groups, path=self.path)
        return self.proj(out.flatten(1))

    def _attend_relatively(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        groups: Sequence[Lengths],
        pairs: Sequence[Tensor],
    ) -> Tensor:
        assert self.relative is not None
        sizes = [sum(group) for group in groups]
        parts = zip(q.split(sizes), k.split(sizes), v.split(sizes), groups, pairs, strict=True)
        return torch.cat(
            [
                attend_biased(*qkv, lengths=lengths, bias=look_up(self.relative, entries))
                for *qkv, lengths, entries in parts
            ]
        )

    def _project(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        if self.qkv is not None:
            q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
            return q, k, v
        assert self.q is not None
        assert self.kv is not None
        assert context is not None, "cross-attention was built with context_dim"
        k, v = self.kv(context).unflatten(-1, (2, self.num_heads, -1)).unbind(1)
        return self.q(x).unflatten(-1, (self.num_heads, -1)), k, v
