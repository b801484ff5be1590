"""A decoder for one modality of a group, reading all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnimask.decoders.decoder import place_visible, present_tokens
from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.masking.plan import MaskPlan, pack_places, pick
from omnimask.network.attention import Attention
from omnimask.network.backbone import Encoded, Places
from omnimask.network.blocks import Block, BlockStyle, Rows, check_heads, initialise
from omnimask.network.encoder import Encoder
from omnimask.tokens.modality import Modality
from omnimask.tokens.packing import Lengths, interleave, unpack
from omnimask.tokens.tokens import Layout, Span


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
        layout, plan = encoded.layout, encoded.plan
        span = self._span(layout)
        present = present_tokens(layout, plan.copies)[:, span.start : span.stop]
        lengths = _num_present(span, plan.copies)
        shown = self.project(encoded.visible[0])
        x = self._queries(shown, present, lengths, encoded)
        context, context_lengths = self._context(shown, encoded)
        x = self.cross(
            self.norm_query(x),
            groups=[lengths],
            context=self.norm_context(context),
            context_groups=[context_lengths],
        )
        x = x + self.mlp(self.norm_mlp(x))
        rows = Rows(groups=(lengths,))
        for block in self.blocks:
            x = block(x, rows)
        return _at_predicted(x, lengths, present, span=span, plan=plan)

    def _span(self, layout: Layout) -> Span:
        names = [span.modality for span in layout.spans]
        if self.modality not in names:
            raise RecipeError(
                f"SpanDecoder(modality={self.modality!r}) is asked to decode a group of {names}; "
                "give objectives on other modalities another decoder"
            )
        return layout.spans[names.index(self.modality)]

    def _queries(
        self,
        shown: Float[Tensor, "t d"],
        present: Bool[Tensor, "r m"],
        lengths: Lengths,
        encoded: Encoded,
    ) -> Float[Tensor, "q d"]:
        """Packed queries: the tokens of the span that are there, `lengths` of them."""
        layout, plan = encoded.layout, encoded.plan
        span, num_tokens = self._span(layout), layout.num_tokens
        placed, visible = place_visible(shown, plan, num_tokens=num_tokens)
        places = torch.arange(span.start, span.stop, device=present.device).expand_as(present)
        ids, _ = pick(places, present, lengths)
        content = torch.where(visible[:, :, None], placed, self.mask_token.to(placed.dtype))
        of_row = pack_places(ids, lengths, 1, num_tokens)
        of_sample = pack_places(ids, lengths, plan.copies, num_tokens)
        return content.flatten(0, 1).index_select(0, of_row) + self.places(layout, of_sample)

    def _context(
        self, shown: Float[Tensor, "t d"], encoded: Encoded
    ) -> tuple[Float[Tensor, "s d"], Lengths]:
        num_visible = encoded.plan.num_visible
        prefix_lengths = (encoded.num_prefix,) * len(num_visible)
        placed = shown + self.places(encoded.layout, encoded.packed_visible())
        prefix = self.project(encoded.prefix[0]).to(placed.dtype)
        return interleave([(prefix, prefix_lengths), (placed, num_visible)])


def _num_present(span: Span, copies: int) -> Lengths:
    # Every valid token is scorable or none is, so the larger number counts those that are either.
    counts = [max(pair) for pair in zip(span.num_valid, span.num_scorable, strict=True)]
    return tuple(count for count in counts for _ in range(copies))


def _at_predicted(
    packed: Float[Tensor, "q d"],
    lengths: Lengths,
    present: Bool[Tensor, "r m"],
    *,
    span: Span,
    plan: MaskPlan,
) -> Float[Tensor, "r n_predict d"]:
    """The queries' vectors at the predicted ids, zero at those of other spans."""
    rows = unpack(packed, lengths, width=max(*lengths, 1))
    slots = (present.long().cumsum(dim=1) - 1).clamp_min(0)
    inside = plan.predict_ok & (plan.predict_ids >= span.start) & (plan.predict_ids < span.stop)
    places = (plan.predict_ids - span.start).clamp(0, len(span) - 1)
    found = slots.gather(1, places)[:, :, None].expand(-1, -1, rows.shape[2])
    return rows.gather(1, found) * inside[:, :, None]
