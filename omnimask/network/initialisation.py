"""How weights begin."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from omnimask.network.blocks import Block


def initialise(module: nn.Module, *, exclude: Sequence[nn.Module] = ()) -> None:
    """Xavier-uniform linear layers with zero bias, as MAE and its followers initialise them."""
    skipped = {id(inner) for outer in exclude for inner in outer.modules()}
    for inner in module.modules():
        if isinstance(inner, nn.Linear) and id(inner) not in skipped:
            nn.init.xavier_uniform_(inner.weight)
            if inner.bias is not None:
                nn.init.zeros_(inner.bias)


def initialise_normal(module: nn.Module, *, std: float = 0.02) -> None:
    """Linear layers from a normal distribution cut off at two deviations, with zero bias."""
    for inner in module.modules():
        if isinstance(inner, nn.Linear):
            nn.init.trunc_normal_(inner.weight, std=std, a=-2 * std, b=2 * std)
            if inner.bias is not None:
                nn.init.zeros_(inner.bias)


@torch.no_grad()
def initialise_by_depth(blocks: Sequence[nn.Module]) -> None:
    """Normal layers, with the output layers of block l = 1, 2, ... divided by sqrt(2 l), as BEiT
    (https://arxiv.org/abs/2106.08254, section 2.5).
    """
    for number, block in enumerate(blocks, start=1):
        assert isinstance(block, Block)
        initialise_normal(block)
        outputs = block.mlp.fc2
        assert isinstance(outputs, nn.Linear), "both kinds of MLP end in fc2"
        for last in (block.attn.proj, outputs):
            last.weight.div_(math.sqrt(2 * number))
