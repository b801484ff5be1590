"""A small transformer over encoded tokens and mask tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.decoders.decoder import WholeRows
from omnimask.decoders.pooling import check_pool, pool_cells
from omnimask.decoders.reading import Fusion, Reading
from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import Block, BlockStyle, Packing, check_heads
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.network.initialisation import initialise
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfAttentionDecoder:
    """Mask tokens stand among the encoded tokens in a small transformer.

    Defaults are MAE's (https://arxiv.org/abs/2111.06377, section 4.1: 8 blocks of width 512).
    `reads`: what of the encoder, None is its normalised output. `visible`: a predicted token that
    was visible is asked for by a mask token of its own beside its encoded one, or ("own") gives
    what became of that one; then every token of the sample goes through, predicted or not. `pool`,
    with "own": in the end the mean over so many cells of the grid per axis, for each of them.
    `places_every_block` and `drop_path` are as an encoder's.
    """

    width: int = 512
    depth: int = 8
    num_heads: int = 16
    style: BlockStyle = field(default_factory=BlockStyle)
    reads: Reading | None = None
    visible: Literal["mask", "own"] = "mask"
    pool: tuple[int, ...] | None = None
    places_every_block: bool = False
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        check_heads("decoder", self.width, self.num_heads)
        if not 0.0 <= self.drop_path < 1.0:
            raise RecipeError(f"decoder.drop_path must be in [0, 1), got {self.drop_path}")
        if self.pool is not None and self.visible != "own":
            raise RecipeError(
                f"decoder.pool={self.pool} is a mean over cells of which some are visible; write "
                "visible='own' beside it"
            )

    @property
    def hidden(self) -> str:
        return "drop"

    def output_width(self, encoder: Encoder, /) -> int:
        return self.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return () if self.reads is None else self.reads.layers(encoder)

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        if self.pool is not None:
            check_pool(self.pool, modalities)
        return _SelfAttention(self, modalities, encoder)


class _SelfAttention(nn.Module):
    def __init__(
        self, config: SelfAttentionDecoder, modalities: Sequence[Modality], encoder: Encoder
    ) -> None:
        super().__init__()
        self.config = config
        self.reading = None if config.reads is None else config.reads.build(encoder)
        if isinstance(self.reading, Fusion):
            self.health = self.reading.health
        self.project = nn.Linear(encoder.width, config.width)
        self.places = Places(modalities, config.width)
        self.mask_token = nn.Parameter(torch.empty(config.width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        rate = config.drop_path / max(config.depth - 1, 1)
        self.blocks = nn.ModuleList(
            Block(
                config.width,
                config.num_heads,
                config.style,
                drop_path=rate * layer,
                name=f"decoder block {layer}",
            )
            for layer in range(config.depth)
        )
        self.norm = config.style.build_norm(config.width)
        initialise(self, exclude=[self.places])

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n d"]:
        prefix, visible = encoded.prefix[0], encoded.visible[0]
        if self.reading is not None:
            prefix, visible = self.reading(encoded)
        if self.config.visible == "own":
            return self._whole(self.project(prefix), self.project(visible), encoded)
        layout, plan = encoded.layout, encoded.plan
        num_prefix = (encoded.num_prefix,) * len(plan.num_visible)
        rows = Rows.of(num_prefix, plan.num_visible, plan.num_predict)
        visible, places = self.project(visible), self.places(layout, encoded.packed_visible())
        packing = Packing(groups=(rows,))
        if self.config.places_every_block:
            masked_places = self.places(layout, encoded.packed_predict())
            masks, prefix = self.mask_token.expand(len(masked_places), -1), self.project(prefix)
            nowhere = torch.zeros_like(prefix, dtype=places.dtype)
            packing = replace(packing, positions=rows.join(nowhere, places, masked_places))
        else:
            visible = visible + places
            masks = self.mask_token + self.places(layout, encoded.packed_predict())
            prefix = self.project(prefix)
        x = rows.join(prefix, visible, masks.to(visible.dtype))
        if self.config.drop_path and self.training:
            packing = _with_keys(packing, encoded)
        for block in self.blocks:
            x = block(x, packing)
        _, _, predict = rows.split(x)
        return Rows.of(plan.num_predict).unpack(self.norm(predict))

    def _whole(self, prefix: Tensor, visible: Tensor, encoded: Encoded) -> Tensor:
        """With every token of the sample once."""
        whole = WholeRows.of(encoded, encoded.layout.spans)
        content, places = whole.fill(visible, self.mask_token, self.places)
        num_prefix = (encoded.num_prefix,) * len(encoded.plan.num_visible)
        rows = Rows.of(num_prefix, whole.rows.lengths)
        packing = Packing(groups=(rows,))
        if self.config.places_every_block:
            nowhere = torch.zeros_like(prefix, dtype=places.dtype)
            packing = replace(packing, positions=rows.join(nowhere, places))
        else:
            content = content + places
        if self.config.drop_path and self.training:
            packing = _with_keys(packing, encoded)
        x = rows.join(prefix, content.to(prefix.dtype))
        for block in self.blocks:
            x = block(x, packing)
        out = self.norm(rows.split(x)[1])
        if self.config.pool is not None:
            out = pool_cells(out, whole, self.config.pool)
        return whole.at_predicted(out)


def _with_keys(packing: Packing, encoded: Encoded) -> Packing:
    """With what branches are dropped by."""
    rng = encoded.view.group.rng.child("decoder").repeat(encoded.plan.copies)
    return replace(packing, rngs=(rng,))
