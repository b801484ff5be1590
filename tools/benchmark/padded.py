"""The encoder as it would be without packing: all rows of a step padded to the longest."""

from dataclasses import replace

import torch
from torch import Tensor

from omnimask.network.blocks import Packing
from omnimask.network.encoder import TransformerEncoder
from omnimask.tokens.tokens import Rows


class PaddedBlock(torch.nn.Module):
    """A block that sees rows of one length, with the same result for real tokens."""

    def __init__(self, block: torch.nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        rows = Rows.of(tuple(length for group in packing.groups for length in group.lengths))
        width, real = max(rows.lengths), rows.narrowed(None, x.device)
        padded = replace(
            packing,
            groups=(Rows.of((width,) * len(rows.lengths)),),
            allowed=None if real is None else real.expand(-1, 1, width, -1),
        )
        out = self.block(rows.unpack(x).flatten(0, 1), padded)
        return rows.pack(out.unflatten(0, (len(rows.lengths), width)))


def pad_rows(encoder: TransformerEncoder) -> None:
    """Changes the encoder of a model in place; for comparisons only."""
    encoder.blocks = torch.nn.ModuleList(PaddedBlock(block) for block in encoder.blocks)
