"""From a transformer's weights under timm's names to our encoder."""

from collections.abc import Mapping

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import Encoder
from omnimask.network.positions import Rotary
from omnimask.training.checkpoint import fill_weights
from omnimask.transfer.importing.block_weights import (
    has_bias,
    hidden_width,
    is_gated,
    take,
    take_blocks,
)
from omnimask.transfer.importing.point_groups import take_points
from omnimask.transfer.importing.tokenizers import PRE_NORM, Known, take_grid
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder

# facebookresearch/dinov3, dinov3/layers/rope_position_encoding.py: base 100, coordinates from -1
# to 1 over the middles of the patches.
DINOV3 = Rotary(min_period=1.0, max_period=100.0, open_end=True, centred=True)


def convert(
    state: Mapping[str, Tensor], known: Known, *, name: str, origin: Mapping[str, str]
) -> PretrainedEncoder:
    """RecipeError naming the keys that are missing or not understood."""
    state = dict(state)
    tokenizer = take_points(state, known) if known.kind == "points" else take_grid(state, known)
    width = tokenizer.width
    pre_norm = PRE_NORM in state
    encoder = Encoder(
        width=width,
        pre_norm=pre_norm,
        depth=1 + max((int(k.split(".")[1]) for k in state if k.startswith("blocks.")), default=0),
        num_heads=_num_heads(width, known),
        positions=tokenizer.positions,
        rotary=DINOV3 if tokenizer.positions == "rotary" else Rotary(),
        places_every_block=known.kind == "points",
        relative_bias=has_bias(state),
        class_token=tokenizer.class_token is not None,
        num_registers=0 if tokenizer.registers is None else len(tokenizer.registers),
        style=BlockStyle(
            mlp_ratio=hidden_width(state) / width * (1.5 if is_gated(state) else 1.0),
            swiglu=is_gated(state),
            norm_eps=known.norm_eps,
            act=known.act,
            layer_scale=1.0 if "blocks.0.ls1.gamma" in state else None,
        ),
    )
    info = EncoderInfo(name=name, modalities=(tokenizer.modality,), encoder=encoder, origin=origin)
    weights = {
        **tokenizer.weights,
        f"backbone.places.modalities.{known.kind}": torch.zeros(width),
        **take_blocks(state, encoder.depth),
        "backbone.encoder.norm.weight": take(state, "norm.weight"),
        "backbone.encoder.norm.bias": take(state, "norm.bias"),
    }
    if pre_norm:
        for kind in ("weight", "bias"):
            weights[f"backbone.encoder.pre_norm.{kind}"] = take(state, f"norm_pre.{kind}")
    _check_periods(state)
    prefix = [part for part in (tokenizer.class_token, tokenizer.registers) if part is not None]
    if prefix:
        weights["backbone.encoder.prefix"] = torch.cat(prefix)
    if state:
        raise RecipeError(f"{name}: keys that are not understood: {sorted(state)[:6]}")
    result = PretrainedEncoder(info)
    fill_weights(result, weights, source=name)
    return result


def _check_periods(state: dict[str, Tensor]) -> None:
    """DINOv3's files have their periods, rounded to bf16; RecipeError where they are others."""
    periods = state.pop("rope_embed.periods", None)
    if periods is None:
        return
    expected = DINOV3.periods(len(periods), periods.device)
    if not torch.allclose(periods, expected, rtol=0.01):
        raise RecipeError(
            f"rope_embed.periods run from {periods[0]:.3g} to {periods[-1]:.3g}, those of DINOv3 "
            f"from {expected[0]:.3g} to {expected[-1]:.3g}; only these can be imported"
        )


def _num_heads(width: int, known: Known) -> int:
    if known.num_heads is None and width not in known.heads:
        raise RecipeError(
            f"the weights do not say the number of heads; write --num-heads ({width})"
        )
    return known.num_heads or known.heads[width]
