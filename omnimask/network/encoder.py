"""The one encoder: a ViT on packed rows of any modality."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.network.blocks import Block, BlockStyle, Rows, check_heads, initialise
from omnimask.network.positions import Rotary
from omnimask.network.relative import of_prefix, pair_entries
from omnimask.tokens.packing import Lengths, interleave, separate

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
    queries and keys by the tokens' coordinates as `rotary` says, "both" does both, "none" neither.
    `places_every_block` adds the position embedding in front of every block instead of once, as in
    Point-BERT (https://arxiv.org/abs/2111.14819) and Point-MAE. `relative_bias`: each block learns
    a bias for how far two cells of a grid stand apart (`relative.py`). `num_registers`: learned
    tokens beside [CLS] (https://arxiv.org/abs/2309.16588). `drop_path` is the last block's
    probability, rising linearly from 0. `checkpoint_blocks` recomputes activations in the backward
    pass.
    """

    width: int = 768
    depth: int = 12
    num_heads: int = 12
    style: BlockStyle = field(default_factory=BlockStyle)
    positions: Literal["additive", "rotary", "both", "none"] = "additive"
    rotary: Rotary = field(default_factory=Rotary)
    places_every_block: bool = False
    relative_bias: bool = False
    class_token: bool = True
    num_registers: int = 0
    drop_path: float = 0.0
    checkpoint_blocks: bool = False

    def __post_init__(self) -> None:
        check_heads("encoder", self.width, self.num_heads)
        if not 0.0 <= self.drop_path < 1.0:
            raise RecipeError(f"encoder.drop_path must be in [0, 1), got {self.drop_path}")
        if self.positions == "none" and not self.relative_bias:
            raise RecipeError(
                "encoder.positions is 'none' and relative_bias is False: tokens would stand "
                "nowhere; write positions='additive' or relative_bias=True"
            )
        if self.places_every_block and not self.adds_places:
            raise RecipeError(
                "encoder.places_every_block needs position embeddings to add, but positions is "
                f"{self.positions!r}; write positions='additive'"
            )

    @property
    def adds_places(self) -> bool:
        """Whether tokens carry an embedding of where they stand."""
        return self.positions in ("additive", "both")

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
    """Prefix tokens, blocks and final norm of an `Encoder`.

    `num_relative`: entries of its blocks' bias tables (`RelativePlaces.num_entries`).
    """

    def __init__(self, config: Encoder, *, num_relative: int = 0) -> None:
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
                num_relative=num_relative if config.relative_bias else 0,
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
        if rows.cells is not None:
            parts = rows.cells.split([sum(lengths) for lengths in rows.groups])
            pairs = [pair_entries(part, n) for part, n in zip(parts, rows.groups, strict=True)]
            rows = replace(rows, pairs=tuple(pairs))
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
        angles, places, cells = rows.angles, rows.places, rows.cells
        count = self.config.num_prefix
        # Prefix tokens have no place: they are rotated by zero, and nothing is added to them.
        if angles is not None:
            angles, _ = _prepend(angles.new_zeros(count, angles.shape[1]), angles, rows.groups)
        if places is not None:
            places, _ = _prepend(places.new_zeros(count, places.shape[1]), places, rows.groups)
        if cells is not None:
            cells, _ = _prepend(of_prefix(count, cells.device), cells, rows.groups)
        return tokens, replace(rows, groups=groups, angles=angles, places=places, cells=cells)

    def without_prefix(self, x: Float[Tensor, "s d"], lengths: Sequence[int]) -> tuple[Tensor, ...]:
        """Splits one group's packed output into its prefix tokens and the rows' own tokens."""
        num_prefix = self.config.num_prefix
        if num_prefix == 0:
            return x[:0], x
        return separate(x, [(num_prefix,) * len(lengths), tuple(lengths)])


def _prepend(
    prefix: Shaped[Tensor, "p d"], packed: Shaped[Tensor, "t d"], groups: tuple[Lengths, ...]
) -> tuple[Tensor, tuple[Lengths, ...]]:
    """`prefix` in front of every row of every group."""
    parts = packed.split([sum(lengths) for lengths in groups])
    joined = [
        interleave([(prefix.repeat(len(n), 1), (len(prefix),) * len(n)), (part, n)])
        for part, n in zip(parts, groups, strict=True)
    ]
    return torch.cat([part for part, _ in joined]), tuple(lengths for _, lengths in joined)
