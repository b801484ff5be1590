"""A ViT's weights under the names of transformers' models.

None of them has layer scale, which is multiplied into the layer before it, nor a fused projection
of queries, keys and values.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from omnimask.network.blocks import Block
from omnimask.transfer.pretrained_encoder import PretrainedEncoder


def sizes(encoder: PretrainedEncoder) -> dict[str, Any]:
    """The fields of a configuration that do not depend on the modality."""
    config = encoder.info.encoder
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "intermediate_size": int(config.width * config.style.mlp_ratio),
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
    }


def final_norm(name: str, encoder: PretrainedEncoder) -> dict[str, Tensor]:
    """Weight and bias of the norm after the last block, below `name`."""
    norm = encoder.backbone.encoder.norm.state_dict()
    return {f"{name}.{key}": value for key, value in norm.items()}


def block_weights(
    encoder: PretrainedEncoder, names: Mapping[str, str], *, below: str
) -> dict[str, Tensor]:
    """By `names` of our layers in theirs; layers without a name there are left out."""
    weights = {}
    for number, block in enumerate(encoder.backbone.encoder.blocks):
        assert isinstance(block, Block)
        for ours, part in _split_block(block).items():
            if ours in names:
                weights[f"{below}.{number}.{names[ours]}"] = part.contiguous()
    return weights


def _split_block(block: Block) -> dict[str, Tensor]:
    """The block's weights with queries, keys and values apart, and layer scale multiplied in."""
    own = {name: value.detach() for name, value in block.state_dict().items()}
    parts = {}
    for kind in ("weight", "bias"):
        q, k, v = own[f"attn.qkv.{kind}"].chunk(3)
        parts |= {f"q.{kind}": q, f"k.{kind}": k, f"v.{kind}": v}
        parts[f"proj.{kind}"] = _scaled(own[f"attn.proj.{kind}"], own.get("scale1.gamma"))
        parts[f"fc1.{kind}"] = own[f"mlp.fc1.{kind}"]
        parts[f"fc2.{kind}"] = _scaled(own[f"mlp.fc2.{kind}"], own.get("scale2.gamma"))
        parts[f"norm1.{kind}"] = own[f"norm1.{kind}"]
        parts[f"norm2.{kind}"] = own[f"norm2.{kind}"]
    return parts


def _scaled(value: Tensor, scale: Tensor | None) -> Tensor:
    if scale is None:
        return value
    return value * scale.reshape(-1, *[1] * (value.dim() - 1))
