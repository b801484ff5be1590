"""The weights of the blocks, from timm's names to ours."""

from collections.abc import Mapping

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.network.relative import FROM_PREFIX, NUM_COMMON, OF_PREFIX, TO_PREFIX

SHARED_BIAS = "relative_bias"  # one bias table for all blocks
BLOCK_BIAS = "attn.relative"


def take(state: dict[str, Tensor], key: str) -> Tensor:
    """Removes and returns a weight; RecipeError where it is missing."""
    if key not in state:
        raise RecipeError(
            f"the checkpoint lacks {key!r}; it has {sorted(state)[:4]} and {len(state)} keys in all"
        )
    return state.pop(key).detach()


def take_blocks(state: dict[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Every block's weights, the three projections as one; a bias that is left out is zero."""
    shared = state.pop(SHARED_BIAS, None)
    weights = {}
    for layer in range(depth):
        block, ours = f"blocks.{layer}.", f"backbone.encoder.blocks.{layer}."
        weight, bias = _take_qkv(state, block + "attn.")
        weights |= {ours + "attn.qkv.weight": weight, ours + "attn.qkv.bias": bias}
        for part in ("norm1", "attn.proj", "norm2"):
            weights |= _take_layer(state, block + part, ours + part)
        weights |= _take_mlp(state, block + "mlp.", ours + "mlp.")
        for scale in ("1", "2"):
            if f"{block}ls{scale}.gamma" in state:
                weights[f"{ours}scale{scale}.gamma"] = take(state, f"{block}ls{scale}.gamma")
        table = state.pop(block + BLOCK_BIAS, shared)
        if table is not None:
            weights[f"{ours}{BLOCK_BIAS}"] = _our_table(table)
    return weights


def bias_table(state: Mapping[str, Tensor]) -> Tensor | None:
    """The first block's learned bias of distances between tokens, in BEiT's order, if any."""
    return state.get(SHARED_BIAS, state.get(f"blocks.0.{BLOCK_BIAS}"))


def has_bias(state: Mapping[str, Tensor]) -> bool:
    return bias_table(state) is not None


def is_gated(state: Mapping[str, Tensor]) -> bool:
    """Whether the MLPs are SwiGLU."""
    return "blocks.0.mlp.fc1_g.weight" in state or "blocks.0.mlp.w12.weight" in state


def hidden_width(state: Mapping[str, Tensor]) -> int:
    """Of the MLPs."""
    if "blocks.0.mlp.w12.weight" in state:
        return len(state["blocks.0.mlp.w12.weight"]) // 2
    return len(take(dict(state), "blocks.0.mlp.fc1.weight"))


def _take_layer(state: dict[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    return {f"{ours}.{kind}": take(state, f"{theirs}.{kind}") for kind in ("weight", "bias")}


def _take_mlp(state: dict[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Gated ones have the gate (`fc1_g`) and what it gates (`fc1`) apart, or both in `w12`."""
    for kind in ("weight", "bias"):
        if f"{theirs}w12.{kind}" in state:
            gate, gated = take(state, f"{theirs}w12.{kind}").chunk(2)
            state[f"{theirs}fc1_g.{kind}"], state[f"{theirs}fc1.{kind}"] = gate, gated
    weights = _take_layer(state, theirs + "fc2", ours + "fc2")
    if f"{theirs}fc1_g.weight" not in state:
        return weights | _take_layer(state, theirs + "fc1", ours + "fc1")
    weights |= _take_layer(state, theirs + "fc1_g", ours + "fc1_g")
    return weights | _take_layer(state, theirs + "fc1", ours + "fc1_x")


def _our_table(table: Tensor) -> Tensor:
    """BEiT's table of distances in ours, which has the entries of [CLS] in front.

    Its last three are those of [CLS] as query, as key, and of [CLS] with itself; our entry for
    tokens of two modalities has no counterpart and is zero.
    """
    common = table.new_zeros(NUM_COMMON, table.shape[1])
    common[FROM_PREFIX], common[TO_PREFIX], common[OF_PREFIX] = table[-3:]
    return torch.cat([common, table[:-3]])


def _take_qkv(state: dict[str, Tensor], attention: str) -> tuple[Tensor, Tensor]:
    def bias(name: str, width: int) -> Tensor:
        for key in (f"{attention}{name}.bias", f"{attention}{name}_bias"):
            if key in state:
                return take(state, key)
        return torch.zeros(width)

    if attention + "qkv.weight" not in state:
        weight = torch.cat([take(state, f"{attention}{name}.weight") for name in "qkv"])
    else:
        weight = take(state, attention + "qkv.weight")
        if attention + "qkv.bias" in state:
            whole = take(state, attention + "qkv.bias")
            # DINOv3's keys have no bias: its mask is zero there, and the number means nothing.
            used = state.pop(attention + "qkv.bias_mask", torch.ones_like(whole))
            return weight, torch.where(used == 0, 0.0, whole)
    return weight, torch.cat([bias(name, weight.shape[1]) for name in "qkv"])
