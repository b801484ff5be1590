"""The one encoder: a ViT on packed rows of any modality."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omnimask.blocks import Block, BlockStyle, Rows, check_heads, initialise
from omnimask.errors import RecipeError, nearest_names
from omnimask.packing import Lengths, interleave, separate

# Width, depth, heads: ViT-B, -L and -H of https://arxiv.org/abs/2010.11929, table 1; -Ti and -S of
# https://arxiv.org/abs/2012.12877, table 1.
_SIZES = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """Configuration of the encoder.

    `positions`: "additive" adds each modality's position embedding to its tokens, "rotary" rotates
    queries and keys by the tokens' coordinates, "both" does both. `num_registers`: learned tokens
    beside [CLS] (https://arxiv.org/abs/2309.16588). `drop_path` is the last block's probability,
    rising linearly from 0. `checkpoint_blocks` recomputes activations in the backward pass.
    """

    width: int = 768
    depth: int = 12
    num_heads: int = 12
    style: BlockStyle = field(default_factory=BlockStyle)
    positions: Literal["additive", "rotary", "both"] = "additive"
    class_token: bool = True
    num_registers: int = 0
    drop_path: float = 0.0
    checkpoint_blocks: bool = False

    def __post_init__(self) -> None:
        check_heads("encoder", self.width, self.num_heads)
        if not 0.0 <= self.drop_path < 1.0:
            raise RecipeError(f"encoder.drop_path must be in [0, 1), got {self.drop_path}")

    @property
    def num_prefix(self) -> int:
        """[CLS] and registers, which stand before the tokens of every row."""
        return int(self.class_token) + self.num_registers

    @property
    def head_dim(self) -> int:
        return self.width // self.num_heads


def vit(size: str) -> Encoder:
    """The plain ViT encoder of a size by name: tiny, small, base, large or huge."""
    if size not in _SIZES:
        raise RecipeError(f"encoder size {size!r} is unknown; {nearest_names(size, _SIZES)}")
    width, depth, num_heads = _SIZES[size]
    return Encoder(width=width, depth=depth, num_heads=num_heads)


class TransformerEncoder(nn.Module):
    """Prefix tokens, blocks and final norm of an `Encoder`."""

    def __init__(self, config: Encoder) -> None:
        super().__init__()
        self.config = config
        self.prefix = (
            nn.Parameter(torch.empty(config.num_prefix, config.width))
            if config.num_prefix
            else None
        )
        if self.prefix is not None:
            nn.init.trunc_normal_(self.prefix, std=0.02)
        last = max(config.depth - 1, 1)
        self.blocks = nn.ModuleList(
            Block(
                config.width,
                config.num_heads,
                config.style,
                drop_path=config.drop_path * layer / last,
                name=f"block {layer}",
            )
            for layer in range(config.depth)
        )
        self.norm = config.style.build_norm(config.width)
        initialise(self.blocks)

    def forward(
        self, x: Float[Tensor, "t d"], rows: Rows, *, layers: Sequence[int] = ()
    ) -> list[Float[Tensor, "s d"]]:
        """Packed tokens of all groups -> [normalised output, then each asked-for block's output].

        Every row of `rows` gets the prefix tokens in front, in the outputs too: s = t + prefixes.
        `layers` count blocks from the last (-1); their outputs are not normalised.
        """
        x, rows = self._add_prefix(x, rows)
        asked = {layer % len(self.blocks): None for layer in layers}
        outputs: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks):
            if self.config.checkpoint_blocks and self.training:
                x = checkpoint(block, x, rows, use_reentrant=False)
            else:
                x = block(x, rows)
            if number in asked:
                outputs[number] = x
        return [self.norm(x), *(outputs[layer % len(self.blocks)] for layer in layers)]

    def _add_prefix(self, x: Tensor, rows: Rows) -> tuple[Tensor, Rows]:
        if self.prefix is None:
            return x, rows
        tokens, groups = _prepend(self.prefix.to(x.dtype), x, rows.groups)
        angles = rows.angles
        if angles is not None:  # prefix tokens have no place, so they are rotated by zero
            nowhere = angles.new_zeros(self.config.num_prefix, angles.shape[1])
            angles, _ = _prepend(nowhere, angles, rows.groups)
        return tokens, Rows(groups=groups, angles=angles, rngs=rows.rngs)

    def without_prefix(self, x: Float[Tensor, "s d"], lengths: Sequence[int]) -> tuple[Tensor, ...]:
        """Splits one group's packed output into its prefix tokens and the rows' own tokens."""
        num_prefix = self.config.num_prefix
        if num_prefix == 0:
            return x[:0], x
        return separate(x, [(num_prefix,) * len(lengths), tuple(lengths)])


def _prepend(
    prefix: Float[Tensor, "p d"], packed: Float[Tensor, "t d"], groups: tuple[Lengths, ...]
) -> tuple[Tensor, tuple[Lengths, ...]]:
    """`prefix` in front of every row of every group."""
    parts = packed.split([sum(lengths) for lengths in groups])
    joined = [
        interleave([(prefix.repeat(len(n), 1), (len(prefix),) * len(n)), (part, n)])
        for part, n in zip(parts, groups, strict=True)
    ]
    return torch.cat([part for part, _ in joined]), tuple(lengths for _, lengths in joined)
