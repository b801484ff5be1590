"""Which class the blocks of a style are of."""

from torch import nn

from omnimask.network.blocks import Block, BlockStyle
from omnimask.network.crate import CodingBlock, DecodingBlock


def build_block(
    style: BlockStyle,
    dim: int,
    num_heads: int,
    *,
    num_relative: int = 0,
    drop_path: float = 0.0,
    name: str = "",
) -> nn.Module:
    """A block of its kind; those of `crate.py` take neither bias tables nor dropped paths."""
    if style.kind == "crate":
        return CodingBlock(dim, num_heads, style)
    if style.kind == "crate_inverse":
        return DecodingBlock(dim, num_heads, style)
    return Block(dim, num_heads, style, num_relative=num_relative, drop_path=drop_path, name=name)
