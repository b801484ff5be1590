"""The encoder as it would be without packing: all rows of a step padded to the longest."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from omnimask.network.blocks import Rows
from omnimask.network.encoder import TransformerEncoder
from omnimask.tokens.packing import pack, unpack


class PaddedBlock(torch.nn.Module):
    """A block that sees rows of one length, with the same result for real tokens."""

    def __init__(self, block: torch.nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        lengths = tuple(length for group in rows.groups for length in group)
        width = max(lengths)
        real = torch.arange(width, device=x.device) < _column(lengths, x.device)
        padded = replace(
            rows,
            groups=((width,) * len(lengths),),
            allowed=real[:, None, None, :].expand(-1, 1, width, -1),
        )
        out = self.block(unpack(x, lengths, width=width).flatten(0, 1), padded)
        return pack(out.unflatten(0, (len(lengths), width)), lengths)


def _column(lengths: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(lengths, device=device)[:, None]


def pad_rows(encoder: TransformerEncoder) -> None:
    """Changes the encoder of a model in place; for comparisons only."""
    encoder.blocks = torch.nn.ModuleList(PaddedBlock(block) for block in encoder.blocks)
