"""What a decoder is, and what several decoders share.

A decoder is a frozen record in the recipe. The module that its `build` makes is called as
`module(encoded)` with an `Encoded`, which has its layout and plan, and returns (r, n_predict,
width): one vector for each predicted token, from which the objective's linear head predicts. A
module may return `(features, own_loss)` instead, where `own_loss` is a scalar in fp32: the sum over
the plan's visible tokens of a loss of its own, such as a codebook's commitment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.masking.plan import MaskPlan, flat_ids, pick, sum_rows
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Layout, Rows, Span


@runtime_checkable
class Decoder(Protocol):
    """The record of a decoder; a recipe may have several, each named by its objectives.

    One that predicts one modality alone is `OfOneModality` too, one with a codebook `HasCodebook`.
    """

    @property
    def hidden(self) -> str:
        """What it needs the recipe's `hidden` to be: "drop", "replace", or "any" of the two."""
        ...

    def output_width(self, encoder: Encoder, /) -> int:
        """The width of the vectors that its module returns."""
        ...

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        """The encoder blocks whose outputs, not normalised, the module reads beside the normalised
        output, counted from the last (-1); they stand in `Encoded` in this order from entry 1.
        """
        ...

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        """The module, for the modalities whose tokens may reach it.

        RecipeError where it cannot work with one of them or with this encoder.
        """
        ...


@runtime_checkable
class OfOneModality(Protocol):
    """A decoder that predicts one modality's tokens alone; objectives of others cannot name it."""

    @property
    def modality(self) -> str: ...


@runtime_checkable
class HasCodebook(Decoder, Protocol):
    """A decoder that holds a codebook: that of a frozen teacher tells codes to `TeacherCodes`."""

    @property
    def num_codes(self) -> int: ...


def place_visible(
    packed: Float[Tensor, "t d"], plan: MaskPlan, *, num_tokens: int
) -> tuple[Float[Tensor, "r n d"], Bool[Tensor, "r n"]]:
    """Packed visible tokens at their ids in the sequence, zero elsewhere; and where they are."""
    padded = Rows.of(plan.num_visible).unpack(packed, width=plan.visible_ids.shape[1])
    placed = padded.new_zeros(padded.shape[0], num_tokens, padded.shape[2])
    # A row's surplus ids are 0 and its surplus vectors zero, so adding leaves token 0 as it is.
    placed = placed.scatter_add(1, plan.visible_ids[:, :, None].expand_as(padded), padded)
    counts = plan.visible_ids.new_zeros(padded.shape[0], num_tokens)
    counts = counts.scatter_add(1, plan.visible_ids, plan.visible_ok.long())
    return placed, counts > 0


def present_tokens(layout: Layout, copies: int) -> Bool[Tensor, "r n"]:
    """Tokens that a row has at all, to be shown or to be predicted; the others are padding."""
    return (layout.valid | layout.scorable).repeat_interleave(copies, dim=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeRows:
    """One or all spans of a group with every token that is there, visible or not, packed.

    `present` says which of the tokens from `start` on are.
    """

    encoded: Encoded
    start: int
    present: Bool[Tensor, "r m"]
    rows: Rows

    @classmethod
    def of(cls, encoded: Encoded, spans: Sequence[Span]) -> "WholeRows":
        """`spans` follow one another in the sequence."""
        copies, start = encoded.plan.copies, spans[0].start
        # A span's valid tokens are all scorable or none is, so the larger number counts both kinds.
        counts = sum_rows(
            [
                [max(pair) for pair in zip(span.num_valid, span.num_scorable, strict=True)]
                for span in spans
            ]
        )
        return cls(
            encoded=encoded,
            start=start,
            present=present_tokens(encoded.layout, copies)[:, start : spans[-1].stop],
            rows=Rows.of(tuple(count for count in counts for _ in range(copies))),
        )

    def fill(
        self, visible: Float[Tensor, "t d"], mask_token: Float[Tensor, " d"], places: Places
    ) -> tuple[Float[Tensor, "q d"], Float[Tensor, "q d"]]:
        """The packed tokens' contents, their own vectors where visible and the mask token
        elsewhere; and their places.
        """
        layout, plan = self.encoded.layout, self.encoded.plan
        num_tokens = layout.num_tokens
        placed, is_visible = place_visible(visible, plan, num_tokens=num_tokens)
        stop = self.start + self.present.shape[1]
        all_ids = torch.arange(self.start, stop, device=placed.device).expand_as(self.present)
        ids, _ = pick(all_ids, self.present, self.rows.lengths)
        content = torch.where(is_visible[:, :, None], placed, mask_token.to(placed.dtype))
        of_row = flat_ids(ids, self.rows.lengths, 1, num_tokens)
        of_sample = flat_ids(ids, self.rows.lengths, plan.copies, num_tokens)
        return content.flatten(0, 1).index_select(0, of_row), places(layout, of_sample)

    def at_predicted(self, packed: Float[Tensor, "q d"]) -> Float[Tensor, "r n_predict d"]:
        """The packed tokens' vectors at the predicted ids, zero at those of other spans."""
        plan, present = self.encoded.plan, self.present
        queries = self.rows.unpack(packed, width=max(*self.rows.lengths, 1))
        slots = (present.long().cumsum(dim=1) - 1).clamp_min(0)
        within = plan.predict_ids - self.start
        inside = plan.predict_ok & (within >= 0) & (within < present.shape[1])
        slots = slots.gather(1, within.clamp(0, present.shape[1] - 1))
        slots = slots[:, :, None].expand(-1, -1, queries.shape[2])
        return queries.gather(1, slots) * inside[:, :, None]


def predicted_rows(
    sequence: Float[Tensor, "r n d"], plan: MaskPlan
) -> Float[Tensor, "r n_predict d"]:
    """The vectors of a whole sequence at the plan's predicted ids, zero at surplus ids."""
    ids = plan.predict_ids[:, :, None].expand(-1, -1, sequence.shape[2])
    return sequence.gather(1, ids) * plan.predict_ok[:, :, None]


def check_hidden(decoder: Decoder, *, name: str, hidden: str) -> None:
    """RecipeError where a decoder cannot work with what the recipe does to hidden tokens."""
    if decoder.hidden not in ("any", hidden):
        raise RecipeError(
            f"decoders[{name!r}] is a {type(decoder).__name__}, which needs hidden="
            f"{decoder.hidden!r}, but the recipe says hidden={hidden!r}; change one of the two"
        )
