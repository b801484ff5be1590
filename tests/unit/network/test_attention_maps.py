"""Attention weights beside what training computes, and maps of who attends to whom."""

from dataclasses import replace

import pytest
import torch

from omnimask.data.streams import open_held_out
from omnimask.network.attention_maps import attention_maps
from omnimask.network.blocks import Attention, BlockStyle, Packing
from omnimask.network.crate import SubspaceAttention
from omnimask.tokens.tokens import Rows
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from tests.unit.toy_recipe import toy_recipe

ROWS = Rows.of((5, 3))


def attended(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """What heads say, from the weights: (t d)."""
    return ROWS.pack((weights @ ROWS.unpack(values).transpose(1, 2)).transpose(1, 2)).flatten(1)


@pytest.mark.parametrize("rotated", [False, True])
def test_weights_times_values_are_what_attention_gives(rotated: bool):
    torch.manual_seed(0)
    attention = Attention(16, 2, qk_norm=True)
    x = torch.randn(8, 16)
    packing = Packing(groups=(ROWS,), angles=torch.randn(8, 4) if rotated else None)
    (weights,) = attention.weights(x, packing)
    values = attention._heads(x, packing, None)[2]
    expected = attention.proj(attended(weights, values))
    torch.testing.assert_close(attention(x, packing), expected)
    assert weights[1, :, :3, 3:].abs().sum() == 0  # padded keys


def test_weights_of_white_box_attention():
    torch.manual_seed(0)
    attention, x = SubspaceAttention(16, 2), torch.randn(8, 16)
    packing = Packing(groups=(ROWS,))
    (weights,) = attention.weights(x, packing)
    values = attention.qkv(x).unflatten(-1, (2, -1))
    torch.testing.assert_close(attention(x, packing), attention.proj(attended(weights, values)))


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("kind", ["vit", "crate"])
def test_maps_are_shares_of_valid_tokens_and_leave_no_hook(class_token: bool, kind):
    recipe = toy_recipe()
    style = replace(recipe.encoder.style, kind=kind)
    encoder = replace(recipe.encoder, class_token=class_token, style=style)
    recipe = fit(replace(recipe, encoder=encoder))
    model = build_model(recipe).eval()
    (view,) = model.views([open_held_out(recipe)[2].held_out_group([0, 4, 7])])
    maps = attention_maps(model.backbone, view)
    valid = view.layout.valid
    assert maps.by_class == class_token
    for shares in (maps.last, maps.rollout):
        assert shares.shape == valid.shape
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(3))
        assert (shares[valid] > 0).all()
        assert not shares[~valid].any()
    assert not maps.features[~valid].any()
    assert maps.features[valid].abs().sum(dim=1).min() > 0
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_rollout_of_a_single_block_is_half_of_its_attention():
    recipe = toy_recipe()
    recipe = fit(replace(recipe, encoder=replace(recipe.encoder, depth=1, style=BlockStyle())))
    model = build_model(recipe).eval()
    (view,) = model.views([open_held_out(recipe)[0].held_out_group([0, 4])])
    maps = attention_maps(model.backbone, view)
    # The other half is [CLS] itself, which is no token; shares are of tokens alone.
    torch.testing.assert_close(maps.rollout, maps.last)
