"""White-box blocks against their formulas in numpy."""

import numpy as np
import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import BlockStyle, Packing
from omnimask.network.crate import CodingBlock, DecodingBlock
from omnimask.network.encoder import Encoder
from omnimask.tokens.tokens import Rows

WIDTH, HEADS = 6, 2
STYLE = BlockStyle(norm_eps=1e-5)
PACKING = Packing(groups=(Rows.of((4,)),))


def norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)


def subspaces(x: np.ndarray, attention: torch.nn.Module) -> np.ndarray:
    """Each head: softmax(W W^T / sqrt(d)) W with W = x U."""
    w = x @ attention.qkv.weight.detach().numpy().T
    heads = []
    for part in np.split(w, HEADS, axis=1):
        scores = np.exp(part @ part.T / np.sqrt(WIDTH / HEADS))
        heads.append(scores / scores.sum(1, keepdims=True) @ part)
    projected = np.concatenate(heads, axis=1) @ attention.proj.weight.detach().numpy().T
    return projected + attention.proj.bias.detach().numpy()


def test_coding_is_compression_and_a_step_of_ista():
    torch.manual_seed(0)
    block, x = CodingBlock(WIDTH, HEADS, STYLE), torch.randn(4, WIDTH)
    d = block.dictionary.weight.detach().numpy()
    z = x.numpy() + subspaces(norm(x.numpy()), block.attn)
    z = norm(z)
    step = 0.1 * (z @ d - z @ d.T @ d) - 0.1 * 0.5
    expected = np.maximum(z + step, 0.0)
    out = block(x, PACKING).detach().numpy()
    np.testing.assert_allclose(out, expected, atol=1e-6)
    assert 0.0 < (out == 0).mean() < 1.0


def test_decoding_is_a_dictionary_minus_attention():
    torch.manual_seed(0)
    block, x = DecodingBlock(WIDTH, HEADS, STYLE), torch.randn(4, WIDTH)
    y = norm(x.numpy()) @ block.dictionary.weight.detach().numpy().T
    expected = y - subspaces(norm(y), block.attn)
    np.testing.assert_allclose(block(x, PACKING).detach().numpy(), expected, atol=1e-6)


def test_what_the_blocks_do_not_have_is_refused():
    with pytest.raises(RecipeError, match="kind='crate' has blocks without"):
        Encoder(style=BlockStyle(kind="crate"), positions="rotary")
