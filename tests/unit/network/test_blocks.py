"""Blocks: what they add to the stream, and which rows lose a branch."""

import pytest
import torch
from torch import nn

from omnimask.network.blocks import Block, BlockStyle, CrossBlock, DropPath, Packing
from omnimask.network.encoder import Encoder, TransformerEncoder
from omnimask.tokens.tokens import Rows
from tests.unit.masking_cases import keys

X = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


def silence(module: nn.Module) -> None:
    """No branch has anything to say any more."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def test_a_block_adds_to_the_stream():
    block = Block(8, 2, BlockStyle())
    silence(block)
    assert torch.equal(block(X, Packing(groups=(Rows.of((2, 3)),))), X)
    nn.init.ones_(block.mlp.fc2.bias)
    assert torch.equal(block(X, Packing(groups=(Rows.of((2, 3)),))), X + 1.0)
    nn.init.ones_(block.attn.proj.bias)
    assert torch.equal(block(X, Packing(groups=(Rows.of((2, 3)),))), X + 1.0 + 1.0)


def test_a_cross_block_adds_to_the_stream():
    block = CrossBlock(8, 2, BlockStyle(), context_dim=6)
    silence(block)
    nn.init.ones_(block.attn.proj.bias)
    out = block(X, torch.ones(4, 6), rows=Rows.of((2, 3)), context_rows=Rows.of((1, 3)))
    assert torch.equal(out, X + 1.0)


ROWS = 400


def dropped(name: str, probability: float = 0.25) -> torch.Tensor:
    """By row, the factor of two tokens each."""
    packing = Packing(groups=(Rows.of((2,) * ROWS),), rngs=(keys(ROWS),))
    return DropPath(probability, name).train()(torch.ones(2 * ROWS, 1), packing).view(ROWS, 2)


def test_a_branch_is_dropped_for_whole_rows_and_kept_ones_are_scaled():
    factors = dropped("block 0 mlp")
    assert torch.equal(factors[:, 0], factors[:, 1])
    assert set(factors.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    share = (factors[:, 0] == 0).float().mean().item()
    assert abs(share - 0.25) < 5 * (0.25 * 0.75 / ROWS) ** 0.5


def test_every_branch_drops_rows_of_its_own():
    first, second = dropped("block 0 mlp")[:, 0] == 0, dropped("block 1 mlp")[:, 0] == 0
    both = (first & second).float().mean().item()
    assert abs(both - 0.25**2) < 5 * (0.0625 * 0.9375 / ROWS) ** 0.5


def test_nothing_is_dropped_in_evaluation_or_without_keys():
    packing = Packing(groups=(Rows.of((5,)),), rngs=(keys(1),))
    assert torch.equal(DropPath(0.9, "a").eval()(X, packing), X)
    assert torch.equal(DropPath(0.9, "a").train()(X, Packing(groups=(Rows.of((5,)),))), X)


@pytest.mark.parametrize("depth", [1, 3])
def test_branches_have_names_of_their_own_and_later_ones_are_dropped_more_often(depth: int):
    encoder = TransformerEncoder(Encoder(width=8, depth=depth, num_heads=2, drop_path=0.4))
    drops = [module for module in encoder.modules() if isinstance(module, DropPath)]
    assert len({drop.name for drop in drops}) == len(drops) == 2 * depth
    expected = [0.4 * layer / max(depth - 1, 1) for layer in range(depth) for _ in range(2)]
    assert [drop.probability for drop in drops] == pytest.approx(expected)


def test_the_start_by_depth_is_narrower_in_later_blocks():
    """Output layers of block l have deviation 0.02 / sqrt(2 l), others 0.02; biases are zero."""
    torch.manual_seed(0)
    encoder = Encoder(width=64, depth=4, num_heads=2, init="normal_by_depth")
    cut_at_two_deviations = 0.88
    for number, block in enumerate(TransformerEncoder(encoder).blocks, start=1):
        deviations = {
            name: parameter.std().item() / (0.02 * cut_at_two_deviations)
            for name, parameter in block.named_parameters()
            if parameter.ndim == 2
        }
        for name, found in deviations.items():
            last = name in ("attn.proj.weight", "mlp.fc2.weight")
            expected = (2 * number) ** -0.5 if last else 1.0
            assert found == pytest.approx(expected, rel=0.06), (number, name)
        assert block.attn.qkv.bias.abs().max() == 0
