"""A decoder for one modality of a group, reading all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.decoders.decoder import WholeRows
from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.network.blocks import Attention, Block, BlockStyle, Packing, check_heads
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.network.initialisation import initialise
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Layout, Rows, Span


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanDecoder:
    """Decodes `modality` alone: one cross-attention to all encoded tokens, then `depth` blocks.

    MultiMAE's decoder (https://arxiv.org/abs/2204.01678, section 3; width 256, 2 blocks, 8 heads
    in the official code). Queries are all tokens of the modality: its encoded tokens where they
    are visible, a mask token elsewhere; so its blocks are spared every other modality's tokens.
    Keys are the encoded tokens of all modalities, [CLS] and registers. Queries and keys but the
    last two carry position and modality. As in the official code, the cross-attention has no
    residual, and no norm comes after the last block.

    Vectors are zero at predicted tokens of other modalities: give each of them a decoder.
    """

    modality: str
    width: int = 256
    depth: int = 2
    num_heads: int = 8
    style: BlockStyle = field(default_factory=BlockStyle)

    def __post_init__(self) -> None:
        check_heads("decoder", self.width, self.num_heads)

    @property
    def hidden(self) -> str:
        return "drop"

    def output_width(self, encoder: Encoder, /) -> int:
        return self.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        names = [modality.name for modality in modalities]
        if self.modality not in names:
            raise RecipeError(
                f"SpanDecoder decodes {self.modality!r}, which never reaches it; "
                f"{nearest_names(self.modality, names)}"
            )
        return _SpanModule(self, modalities, encoder)


class _SpanModule(nn.Module):
    def __init__(
        self, config: SpanDecoder, modalities: Sequence[Modality], encoder: Encoder
    ) -> None:
        super().__init__()
        style, width = config.style, config.width
        self.modality = config.modality
        self.project = nn.Linear(encoder.width, width)
        self.places = Places(modalities, width)
        self.mask_token = nn.Parameter(torch.empty(width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.norm_query, self.norm_context = style.build_norm(width), style.build_norm(width)
        self.cross = Attention(
            width, config.num_heads, context_dim=width, qk_norm=style.qk_norm, path=style.attention
        )
        self.norm_mlp, self.mlp = style.build_norm(width), style.build_mlp(width)
        self.blocks = nn.ModuleList(
            Block(width, config.num_heads, style) for _ in range(config.depth)
        )
        initialise(self, exclude=[self.places])

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n_predict d"]:
        whole = WholeRows.of(encoded, [self._span(encoded.layout)])
        packing = Packing(groups=(whole.rows,))
        visible = self.project(encoded.visible[0])
        content, places = whole.fill(visible, self.mask_token, self.places)
        x = content + places
        context, context_rows = self._context(visible, encoded)
        x = self.cross(
            self.norm_query(x),
            packing,
            context=self.norm_context(context),
            context_rows=[context_rows],
        )
        x = x + self.mlp(self.norm_mlp(x))
        for block in self.blocks:
            x = block(x, packing)
        return whole.at_predicted(x)

    def _span(self, layout: Layout) -> Span:
        names = [span.modality for span in layout.spans]
        if self.modality not in names:
            raise RecipeError(
                f"SpanDecoder(modality={self.modality!r}) is asked to decode a group of {names}; "
                "give objectives on other modalities another decoder"
            )
        return layout.spans[names.index(self.modality)]

    def _context(
        self, visible: Float[Tensor, "t d"], encoded: Encoded
    ) -> tuple[Float[Tensor, "s d"], Rows]:
        num_visible = encoded.plan.num_visible
        rows = Rows.of((encoded.num_prefix,) * len(num_visible), num_visible)
        placed = visible + self.places(encoded.layout, encoded.packed_visible())
        return rows.join(self.project(encoded.prefix[0]).to(placed.dtype), placed), rows
