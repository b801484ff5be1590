"""MaskPlan: which tokens the encoder sees and which are predicted.

All arithmetic of ids and of their numbers is here.

No function here waits for the device: the number of ids in every row is a host integer, known
before a single random number is drawn.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.tokens.tokens import Grid, Layout, Rows, Span, host_index

Counts = tuple[int, ...]  # one host integer per row

# A product such as 0.9 * 15 may miss the half that it means by a rounding error.
_SLACK = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanChoice:
    """What a masker decides about one span: its `num_visible` lowest-scored valid tokens are shown.

    Scores are finite; of equal ones the token that stands first counts as lower.
    """

    scores: Float[Tensor, "r n"]
    num_visible: Counts

    @classmethod
    def by_ratio(cls, ratio: float, scores: Float[Tensor, "r n"], span: Span) -> "SpanChoice":
        """Hides the share `ratio` of the span's valid tokens, those that score highest."""
        return cls(scores=scores, num_visible=visible_counts(ratio, span.num_valid))


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskPlan:
    """Token ids per row; row i belongs to sample i // copies. Ids are sorted, real ones first.

    `*_ok` is False where a row has fewer ids than the widest row (the id there is 0).
    `num_visible` and `num_predict` are the row sums of the flags as host integers. `predict` may
    overlap `visible` or leave hidden tokens out.
    """

    visible_ids: Int64[Tensor, "r n_visible"]
    visible_ok: Bool[Tensor, "r n_visible"]
    predict_ids: Int64[Tensor, "r n_predict"]
    predict_ok: Bool[Tensor, "r n_predict"]
    num_visible: Counts
    num_predict: Counts
    copies: int = 1

    @classmethod
    def by_span(cls, layout: Layout, choices: Sequence[SpanChoice]) -> "MaskPlan":
        """Shows what each span's choice says, and predicts what is scorable and hidden."""
        visible, num_hidden = [], []
        for span, choice in zip(layout.spans, choices, strict=True):
            assert all(k <= n for k, n in zip(choice.num_visible, span.num_valid, strict=True))
            valid = layout.valid[:, span.start : span.stop]
            visible.append(lowest(choice.scores, valid, choice.num_visible))
            # A span's valid tokens are all scorable or none is; so the host can count the hidden.
            pairs = zip(span.num_scorable, choice.num_visible, strict=True)
            num_hidden.append([n - k if n else 0 for n, k in pairs])
        is_visible = torch.cat(visible, dim=1)
        return cls.from_flags(
            is_visible,
            layout.scorable & ~is_visible,
            num_visible=sum_rows([choice.num_visible for choice in choices]),
            num_predict=sum_rows(num_hidden),
        )

    @classmethod
    def jointly(
        cls, layout: Layout, scores: Float[Tensor, "r n"], num_visible: Counts
    ) -> "MaskPlan":
        """Shows the lowest-scored tokens of the whole sequence, whichever span they stand in.

        Every span's valid tokens must be scorable: only the device knows how many of it are shown.
        """
        visible = lowest(scores, layout.valid, num_visible)
        num_scorable = sum_rows([span.num_scorable for span in layout.spans])
        return cls.from_flags(
            visible,
            layout.scorable & ~visible,
            num_visible=num_visible,
            num_predict=tuple(n - k for n, k in zip(num_scorable, num_visible, strict=True)),
        )

    @classmethod
    def from_flags(
        cls,
        visible: Bool[Tensor, "r n"],
        predict: Bool[Tensor, "r n"],
        *,
        num_visible: Counts,
        num_predict: Counts,
    ) -> "MaskPlan":
        """Shows and predicts the flagged tokens; counts are the row sums of the flags."""
        ids = torch.arange(visible.shape[1], device=visible.device).expand(visible.shape)
        visible_ids, visible_ok = pick(ids, visible, num_visible)
        predict_ids, predict_ok = pick(ids, predict, num_predict)
        return cls(
            visible_ids=visible_ids,
            visible_ok=visible_ok,
            predict_ids=predict_ids,
            predict_ok=predict_ok,
            num_visible=num_visible,
            num_predict=num_predict,
        )

    @classmethod
    def merge(cls, plans: "Sequence[MaskPlan]", starts: Sequence[int]) -> "MaskPlan":
        """One plan from plans of parts of the sequence; part i starts at token `starts[i]`.

        The parts are in the sequence's order and have the same rows.
        """
        if len(plans) == 1 and starts[0] == 0:
            return plans[0]
        num_visible = sum_rows([plan.num_visible for plan in plans])
        num_predict = sum_rows([plan.num_predict for plan in plans])
        visible = torch.cat([p.visible_ids + start for p, start in zip(plans, starts)], dim=1)
        predict = torch.cat([p.predict_ids + start for p, start in zip(plans, starts)], dim=1)
        visible_ok = torch.cat([plan.visible_ok for plan in plans], dim=1)
        predict_ok = torch.cat([plan.predict_ok for plan in plans], dim=1)
        visible_ids, visible_ok = pick(visible, visible_ok, num_visible)
        predict_ids, predict_ok = pick(predict, predict_ok, num_predict)
        return cls(
            visible_ids=visible_ids,
            visible_ok=visible_ok,
            predict_ids=predict_ids,
            predict_ok=predict_ok,
            num_visible=num_visible,
            num_predict=num_predict,
            copies=plans[0].copies,
        )

    def packed_visible(self, num_tokens: int) -> Int64[Tensor, " t"]:
        """The visible tokens of all rows, packed, as indices into the samples' flattened (b n)
        sequence, `num_visible` of each row.
        """
        return flat_ids(self.visible_ids, self.num_visible, self.copies, num_tokens)

    def packed_predict(self, num_tokens: int) -> Int64[Tensor, " t"]:
        """The same of the predicted tokens."""
        return flat_ids(self.predict_ids, self.num_predict, self.copies, num_tokens)

    def is_visible(self, num_tokens: int) -> Bool[Tensor, "r n"]:
        """Of each of a row's `num_tokens` tokens, whether the encoder sees it."""
        return flags_of(self.visible_ids, self.visible_ok, num_tokens)

    def is_predicted(self, num_tokens: int) -> Bool[Tensor, "r n"]:
        """Of each of a row's `num_tokens` tokens, whether it is predicted."""
        return flags_of(self.predict_ids, self.predict_ok, num_tokens)

    def first_copy(self) -> "MaskPlan":
        """Only the first of several masks of each sample."""
        first = {
            field.name: getattr(self, field.name)[:: self.copies]
            for field in fields(self)
            if field.name != "copies"
        }
        return replace(self, **first, copies=1)


def flat_ids(
    ids: Int64[Tensor, "r k"], counts: Counts, copies: int, num_tokens: int
) -> Int64[Tensor, " t"]:
    """Ids within rows, row i belonging to sample i // copies, as packed indices into (b n)."""
    samples = torch.arange(ids.shape[0], device=ids.device)[:, None] // copies
    return Rows.of(counts).pack(ids + samples * num_tokens)


@runtime_checkable
class Masker(Protocol):
    """A frozen dataclass whose fields are its configuration; a pure function of its arguments.

    `hints` are tensors (b n ...) over the sequence, by name, from elsewhere (a teacher's
    attention); `progress` is the share of training that is done. Maskers that need neither ignore
    them. Most return one plan. One that reads a hint is `Hinted` too, one that draws several masks
    of a sample `Copying`: a recipe is checked for what these need.
    """

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]: ...

    def check(self, grid: Grid | None, modality: str) -> None:
        """RecipeError where the masker cannot work on a modality with this grid."""
        ...


@runtime_checkable
class Hinted(Protocol):
    """A masker, or a part of one, that reads a hint; without it there is nothing to mask by."""

    @property
    def hint(self) -> str:
        """A name in the recipe's `hints`, or the objective whose prediction by the EMA teacher is
        the hint."""
        ...


@runtime_checkable
class Copying(Protocol):
    """A masker, or a part of one, that draws several masks of every sample, as rows of one plan."""

    @property
    def copies(self) -> int: ...


def per_row(counts: Sequence[int], device: torch.device) -> Int64[Tensor, "r 1"]:
    """Host integers as a column on the device, without waiting for it."""
    if min(counts) == max(counts):
        return torch.full((len(counts), 1), counts[0], device=device)
    return host_index(counts, device)[:, None]


def ranks(scores: Float[Tensor, "r n"], valid: Bool[Tensor, "r n"]) -> Int64[Tensor, "r n"]:
    """The rank of every token by its score, within its row; invalid tokens come last."""
    order = scores.masked_fill(~valid, torch.inf).argsort(dim=1, stable=True)
    numbers = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, numbers)


def lowest(
    scores: Float[Tensor, "r n"], valid: Bool[Tensor, "r n"], counts: Counts
) -> Bool[Tensor, "r n"]:
    """Flags of the `counts[i]` valid tokens of row i with the lowest scores."""
    return ranks(scores, valid) < per_row(counts, scores.device)


def pick(
    values: Int64[Tensor, "r n"], flags: Bool[Tensor, "r n"], counts: Counts
) -> tuple[Int64[Tensor, "r k"], Bool[Tensor, "r k"]]:
    """The values where `flags` is True, in their order, and where they are real.

    `counts` are the row sums of `flags`; k is the largest. Without a sort, since flags keep order.
    """
    width = max(counts)
    # What is not flagged is written into one more column, which is then cut off.
    slots = torch.where(flags, flags.cumsum(dim=1) - 1, width)
    picked = values.new_zeros(len(counts), width + 1).scatter_(1, slots, values)[:, :width]
    real = torch.arange(width, device=values.device) < per_row(counts, values.device)
    return picked, real


def flags_of(
    ids: Int64[Tensor, "r k"], ok: Bool[Tensor, "r k"], num_tokens: int
) -> Bool[Tensor, "r n"]:
    """Which of `num_tokens` tokens the ids name, the inverse of `pick`; an id that is not ok names
    none.
    """
    counts = torch.zeros(len(ids), num_tokens, dtype=torch.long, device=ids.device)
    return counts.scatter_add_(1, ids, ok.long()) > 0


def sum_rows(counts: Sequence[Sequence[int]]) -> Counts:
    """Row by row, the sum over several tuples of host counts."""
    return tuple(sum(row) for row in zip(*counts, strict=True))


def check_ratio(ratio: float) -> None:
    """RecipeError unless 0 < ratio < 1."""
    if 0.0 < ratio < 1.0:
        return
    example = ratio / 100 if 1.0 < ratio < 100.0 else 0.75
    raise RecipeError(f"mask ratio must be in (0, 1), got {ratio:g}; write {example:g}")


def share_count(share: float, total: int) -> int:
    """`share * total` to the nearest integer, halves down; at least one where there is any."""
    return max(min(total, 1), math.ceil(share * total - 0.5 - _SLACK))


def visible_count(ratio: float, num_valid: int) -> int:
    """How many of `num_valid` tokens stay visible under a mask ratio.

    The nearest integer, halves down, which gives the counts of MAE (49 of 196 at 0.75), VideoMAE
    (20 of 196 at 0.9), AudioMAE (102 of 512 at 0.8) and Point-MAE (26 of 64 at 0.6), each of which
    rounds in its own way. At least one token is visible and, of two or more, at least one hidden; a
    sample with a single token shows it.
    """
    return min(share_count(1.0 - ratio, num_valid), max(num_valid - 1, min(num_valid, 1)))


def visible_counts(ratio: float, num_valid: Counts) -> Counts:
    """`visible_count` for every row."""
    return tuple(visible_count(ratio, count) for count in num_valid)
