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


def test_a_block_with_sub_norms_equals_eva_02s():
    """SwiGLU with a norm inside, and one before the attention's output layer."""
    from timm.models.eva import EvaBlock

    torch.manual_seed(0)
    ours = Block(48, 4, BlockStyle(mlp_ratio=4.0, swiglu=True, sub_norm=True))
    theirs = EvaBlock(
        48,
        4,
        qkv_fused=False,
        mlp_ratio=4 * 2 / 3,
        swiglu_mlp=True,
        scale_mlp=True,
        scale_attn_inner=True,
        norm_layer=lambda *args, **kinds: torch.nn.LayerNorm(*args, eps=1e-6, **kinds),
    )
    weights = ours.state_dict()
    for kind in ("weight", "bias"):
        q, k, v = weights.pop(f"attn.qkv.{kind}").chunk(3)
        weights |= {f"attn.q_proj.{kind}": q, f"attn.v_proj.{kind}": v}
        if kind == "weight":  # its keys have no bias, which a softmax does not see
            weights["attn.k_proj.weight"] = k
        weights[f"attn.norm.{kind}"] = weights.pop(f"attn.sub_norm.{kind}")
    theirs.load_state_dict(weights)
    x = torch.randn(3, 5, 48)
    packed = ours(x.flatten(0, 1), Packing(groups=(Rows.of((5, 5, 5)),)))
    torch.testing.assert_close(packed.unflatten(0, (3, 5)), theirs(x), atol=1e-5, rtol=1e-5)


def test_the_encoder_equals_transformers_clip():
    """A norm of what enters, and blocks with CLIP's approximate GELU."""
    from transformers import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPEncoderLayer

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        hidden_act="quick_gelu",
        attn_implementation="eager",
    )
    style = BlockStyle(act="quick_gelu", norm_eps=config.layer_norm_eps)
    ours = TransformerEncoder(
        Encoder(width=32, depth=2, num_heads=4, pre_norm=True, style=style, class_token=False)
    )
    torch.nn.init.normal_(ours.pre_norm.weight)
    x = torch.randn(2, 6, 32)
    expected = ours.pre_norm(x)
    for block in ours.blocks:
        layer = CLIPEncoderLayer(config)
        weights = {}
        for name, value in block.state_dict().items():
            named = name.replace("attn.proj", "self_attn.out_proj").replace("norm", "layer_norm")
            if "qkv" in name:
                for part, projection in zip(value.chunk(3), "qkv", strict=True):
                    weights[f"self_attn.{projection}_proj.{name.split('.')[-1]}"] = part
            else:
                weights[named] = value
        layer.load_state_dict(weights)
        output = layer(expected, attention_mask=None)
        expected = output[0] if isinstance(output, tuple) else output
    out, last = ours(x.flatten(0, 1), Packing(groups=(Rows.of((6, 6)),)), layers=(-1,))
    torch.testing.assert_close(last.unflatten(0, (2, 6)), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out, ours.norm(last))
