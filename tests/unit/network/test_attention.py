import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

from omnimask.network.blocks import (
    Attention,
    Packing,
    _attend_varlen,
    attend,
    attend_packed,
    attend_plainly,
    rotate,
)
from omnimask.tokens.tokens import Rows

GROUPS = [(3, 3), (2, 5, 1)]


def packed(*groups: tuple[int, ...], **known: torch.Tensor) -> Packing:
    return Packing(groups=tuple(map(Rows.of, groups)), **known)


def rows_one_by_one(attention: Attention, x: torch.Tensor) -> torch.Tensor:
    lengths = [n for group in GROUPS for n in group]
    return torch.cat([attention(row, packed((len(row),))) for row in x.split(lengths)])


@pytest.mark.parametrize("qk_norm", [False, True])
def test_packed_rows_attend_only_to_themselves(qk_norm: bool):
    torch.manual_seed(0)
    attention = Attention(16, 4, qk_norm=qk_norm)
    x = torch.randn(14, 16)
    together = attention(x, packed(*GROUPS))
    torch.testing.assert_close(together, rows_one_by_one(attention, x), atol=1e-6, rtol=1e-5)


def test_attention_is_the_textbook_formula():
    torch.manual_seed(0)
    attention = Attention(8, 2)
    x = torch.randn(5, 8)
    q, k, v = attention.qkv(x).view(5, 3, 2, 4).permute(1, 2, 0, 3)
    weights = (q @ k.transpose(1, 2) / 2.0).softmax(dim=-1)
    expected = attention.proj((weights @ v).transpose(0, 1).reshape(5, 8))
    torch.testing.assert_close(attention(x, packed((5,))), expected)


def test_the_plain_path_equals_sdpa_with_a_mask():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 7, 8).unbind(0)
    key_ok = torch.arange(7) < torch.tensor([[7], [4]])
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=key_ok[:, None, None])
    torch.testing.assert_close(attend_plainly(q, k, v, key_ok[:, None, None]), expected)


def test_short_bf16_rows_take_the_plain_path_with_its_accuracy():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 7, 8).bfloat16().unbind(0)
    expected = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
    torch.testing.assert_close(attend(q, k, v).float(), expected, atol=3e-2, rtol=3e-2)


def test_a_head_attends_only_where_it_is_allowed():
    torch.manual_seed(0)
    attention = Attention(8, 2)
    x, lengths = torch.randn(7, 8), (4, 3)
    # The first head is free; the second sees the token itself alone, so it returns its value.
    real = torch.arange(4) < torch.tensor(lengths)[:, None]
    free = real[:, :, None] == real[:, None, :]
    allowed = torch.stack([free, torch.eye(4, dtype=torch.bool).expand(2, 4, 4)], dim=1)
    out = attention(x, packed(lengths, allowed=allowed))
    _, _, v = attention.qkv(x).view(7, 3, 2, 4).unbind(1)
    plain = torch.cat([heads_of(attention, row) for row in x.split(lengths)])
    expected = attention.proj(torch.cat([plain[:, 0], v[:, 1]], dim=1))
    torch.testing.assert_close(out, expected)
    out.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in attention.parameters())


def heads_of(attention: Attention, row: torch.Tensor) -> torch.Tensor:
    q, k, v = attention.qkv(row).view(len(row), 3, 2, 4).permute(1, 2, 0, 3)
    return F.scaled_dot_product_attention(q[None], k[None], v[None])[0].transpose(0, 1)


def test_cross_attention_reads_the_same_row_of_its_context():
    torch.manual_seed(0)
    attention = Attention(8, 2, context_dim=6)
    x, context = torch.randn(5, 8), torch.randn(7, 6)
    out = attention(x, packed((2, 3)), context=context, context_rows=[Rows.of((4, 3))])
    alone = attention(x[2:], packed((3,)), context=context[4:], context_rows=[Rows.of((3,))])
    torch.testing.assert_close(out[2:], alone)


def test_rotation_keeps_lengths_and_turns_by_the_angle():
    x = torch.tensor([[[1.0, 0.0]]])
    turned = rotate(x, torch.tensor([[torch.pi / 2]]))
    torch.testing.assert_close(turned, torch.tensor([[[0.0, 1.0]]]), atol=1e-6, rtol=0)


def test_rows_without_queries_or_keys_are_harmless():
    attention = Attention(8, 2, context_dim=8)
    x, context = torch.randn(2, 8), torch.randn(3, 8)
    out = attention(x, packed((0, 2)), context=context, context_rows=[Rows.of((1, 2))])
    assert out.isfinite().all()
    assert Rows.of((0, 2)).unpack(out).shape == (2, 2, 8)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_varlen_attention_equals_dense_blocks():
    torch.manual_seed(0)
    dense = Attention(64, 2).cuda().bfloat16()
    varlen = Attention(64, 2, path="varlen").cuda().bfloat16()
    varlen.load_state_dict(dense.state_dict())
    x = torch.randn(14, 64, device="cuda", dtype=torch.bfloat16)
    torch.testing.assert_close(
        varlen(x, packed(*GROUPS)), dense(x, packed(*GROUPS)), atol=2e-2, rtol=2e-2
    )


def test_queries_and_keys_are_both_rotated():
    torch.manual_seed(0)
    attention = Attention(8, 2)
    x, angles = torch.randn(5, 8), torch.randn(5, 2)
    q, k, v = attention.qkv(x).view(5, 3, 2, 4).unbind(1)
    # A pair (i, i + 2) of a head is a complex number, and an angle multiplies it.
    q, k = (torch.complex(*part.split(2, dim=2)) for part in (q, k))
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]
    scores = torch.einsum("nhd,mhd->hnm", q * turn, (k * turn).conj()).real / 2.0
    mixed = (scores.softmax(dim=-1) @ v.transpose(0, 1)).transpose(0, 1)
    expected = attention.proj(mixed.reshape(5, 8))
    torch.testing.assert_close(attention(x, packed((5,), angles=angles)), expected)


def test_queries_and_keys_are_both_normalised():
    torch.manual_seed(0)
    attention = Attention(8, 2, qk_norm=True)
    x = torch.randn(5, 8)
    q, k, v = attention.qkv(x).view(5, 3, 2, 4).permute(1, 2, 0, 3)
    q, k = (2.0 * F.normalize(part, dim=-1) for part in (q, k))  # of mean square 1
    mixed = (q @ k.transpose(1, 2) / 2.0).softmax(dim=-1) @ v
    expected = attention.proj(mixed.transpose(0, 1).reshape(5, 8))
    torch.testing.assert_close(attention(x, packed((5,))), expected, atol=1e-4, rtol=1e-4)


def test_padded_keys_of_short_contexts_are_not_read():
    torch.manual_seed(0)
    attention = Attention(8, 2, context_dim=6)
    x, context = torch.randn(4, 8), torch.randn(5, 6)
    both = attention(x, packed((2, 2)), context=context, context_rows=[Rows.of((4, 1))])
    short = attention(x[2:], packed((2,)), context=context[4:], context_rows=[Rows.of((1,))])
    torch.testing.assert_close(both[2:], short)


def row_by_row(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    starts: torch.Tensor,
    key_starts: torch.Tensor,
    longest: int,
    longest_keys: int,
) -> torch.Tensor:
    """What torch's `varlen_attn` does with its bounds, on the CPU."""
    assert longest == starts.diff().max()
    assert longest_keys == key_starts.diff().max()
    rows = zip(starts.tolist(), starts[1:].tolist(), key_starts.tolist(), key_starts[1:].tolist())
    return torch.cat([attend_row(q[a:b], k[c:d], v[c:d]) for a, b, c, d in rows])


def attend_row(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    parts = (part.transpose(0, 1) for part in (q, k, v))
    return F.scaled_dot_product_attention(*parts).transpose(0, 1)


def test_varlen_attention_is_told_where_rows_and_their_keys_begin(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    stub = ModuleType("torch.nn.attention.varlen")
    vars(stub)["varlen_attn"] = row_by_row
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", stub)
    lengths, key_lengths = (3, 3, 2), (1, 5, 4)
    q, k, v = torch.randn(8, 2, 4), torch.randn(10, 2, 4), torch.randn(10, 2, 4)
    groups, key_groups = [Rows.of((3, 3)), Rows.of((2,))], [Rows.of((1, 5)), Rows.of((4,))]
    rows = zip(q.split(lengths), k.split(key_lengths), v.split(key_lengths))
    expected = torch.cat([attend_row(*row) for row in rows])
    torch.testing.assert_close(_attend_varlen(q, k, v, groups, key_groups), expected)


def test_a_bias_lets_no_padding_in():
    torch.manual_seed(0)
    q, k, v, bias = torch.randn(4, 2, 4), torch.randn(4, 2, 4), torch.randn(4, 2, 4), torch.ones(3)
    rows, masks = [Rows.of((3, 1))], [bias.expand(2, 2, 3, 3)]
    out = attend_packed(q, k, v, groups=rows, key_groups=rows, masks=masks)
    expected = torch.cat([attend_row(q[:3], k[:3], v[:3]), v[3:]])
    torch.testing.assert_close(out, expected)
