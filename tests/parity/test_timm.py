"""Our packed blocks and encoder against timm's ViT with the same weights."""

import pytest
import torch

from omnimask.network.blocks import Block, BlockStyle, Packing
from omnimask.network.encoder import Encoder, TransformerEncoder
from omnimask.tokens.tokens import Rows

TO_TIMM = {"scale1.gamma": "ls1.gamma", "scale2.gamma": "ls2.gamma"}


def timm_weights(block: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {TO_TIMM.get(name, name): value for name, value in block.state_dict().items()}


@pytest.mark.parametrize("layer_scale", [None, 0.1])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_a_block_equals_timms(layer_scale: float | None, qk_norm: bool):
    from timm.models.vision_transformer import Block as TimmBlock

    torch.manual_seed(0)
    ours = Block(32, 4, BlockStyle(layer_scale=layer_scale, qk_norm=qk_norm))
    theirs = TimmBlock(
        32,
        4,
        qkv_bias=True,
        qk_norm=qk_norm,
        init_values=layer_scale,
    )
    if qk_norm:  # timm gives queries and keys the block's own kind of norm
        theirs.attn.q_norm = torch.nn.RMSNorm(8)
        theirs.attn.k_norm = torch.nn.RMSNorm(8)
    for norm in (theirs.norm1, theirs.norm2):
        norm.eps = 1e-6
    theirs.load_state_dict(timm_weights(ours))
    x = torch.randn(3, 5, 32)
    packed = ours(x.flatten(0, 1), Packing(groups=(Rows.of((5, 5, 5)),)))
    torch.testing.assert_close(packed.unflatten(0, (3, 5)), theirs(x), atol=1e-5, rtol=1e-5)


def test_the_encoder_equals_timms_vit():
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    ours = TransformerEncoder(Encoder(width=32, depth=3, num_heads=4))
    theirs = VisionTransformer(
        img_size=16, patch_size=4, embed_dim=32, depth=3, num_heads=4, num_classes=0, global_pool=""
    )
    weights = {name: value for name, value in ours.state_dict().items() if name != "prefix"}
    missing = theirs.load_state_dict(weights, strict=False).missing_keys
    assert set(missing) == {"cls_token", "pos_embed", "patch_embed.proj.weight"} | {
        "patch_embed.proj.bias"
    }
    x = torch.randn(2, 6, 32)
    rows = Packing(groups=(Rows.of((6, 6)),))
    (out,) = ours(x.flatten(0, 1), rows)
    expected = torch.cat([ours.prefix.expand(2, 1, 32), x], dim=1)
    for block in theirs.blocks:
        expected = block(expected)
    expected = theirs.norm(expected)
    torch.testing.assert_close(out.unflatten(0, (2, 7)), expected, atol=1e-5, rtol=1e-5)
