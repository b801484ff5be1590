"""Tokens of one modality, and the layout that a masker may see."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Grid = Mapping[str, int]  # named axes in storage order, such as {"t": 8, "h": 14, "w": 14}
Raw = Mapping[str, Tensor | tuple[int, ...]]  # one collated modality; tuples stay on the host


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """One modality of one group, before embedding; padded to `n` tokens per sample.

    `valid`: may be shown to the encoder. `scorable`: has ground truth. Either every valid token of
    a modality is scorable, possibly beside tokens that are only scorable (an empty voxel that is
    asked about), or none is (an input-only modality). `num_valid` and `num_scorable` are the row
    sums of the two flags as host integers, so that packing never waits for the device. `values` and
    `coords` are finite everywhere, also where a token is not valid.
    """

    values: Float[Tensor, "b n v"]
    coords: Float[Tensor, "b n c"]
    valid: Bool[Tensor, "b n"]
    scorable: Bool[Tensor, "b n"]
    num_valid: tuple[int, ...]
    num_scorable: tuple[int, ...]
    grid: Grid | None


def dense_tokens(values: Tensor, coords: Tensor, *, grid: Grid | None = None) -> Tokens:
    """Tokens of a batch in which every token is both valid and scorable.

    `values` is (b n v); `coords` is (n c) or (b n c), in the units of the modality's `extent`.
    """
    num_samples, num_tokens, _ = values.shape
    everywhere = torch.ones(num_samples, num_tokens, dtype=torch.bool, device=values.device)
    # A traced graph may have any number of samples, which no tuple on the host can say.
    counts = () if torch.compiler.is_exporting() else (num_tokens,) * num_samples
    return Tokens(
        values=values,
        coords=coords.expand(num_samples, num_tokens, coords.shape[-1]),
        valid=everywhere,
        scorable=everywhere,
        num_valid=counts,
        num_scorable=counts,
        grid=grid,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Where one modality stands in the sequence of a group: tokens `start` to `stop`."""

    modality: str
    start: int
    stop: int
    coords: Float[Tensor, "b n c"]
    grid: Grid | None
    num_valid: tuple[int, ...]
    num_scorable: tuple[int, ...]

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What a masker may see of a group: never values, so a masker cannot leak content."""

    spans: tuple[Span, ...]
    valid: Bool[Tensor, "b n"]
    scorable: Bool[Tensor, "b n"]

    def only(self, span: Span) -> "Layout":
        """The layout of one span alone, as if its modality were the whole sequence."""
        moved = replace(span, start=0, stop=len(span))
        where = slice(span.start, span.stop)
        return Layout(spans=(moved,), valid=self.valid[:, where], scorable=self.scorable[:, where])

    def repeat(self, copies: int) -> "Layout":
        """Every sample `copies` times in a row, for several masks of one sample."""
        if copies == 1:
            return self
        spans = tuple(
            replace(
                span,
                coords=span.coords.repeat_interleave(copies, dim=0),
                num_valid=_repeat_counts(span.num_valid, copies),
                num_scorable=_repeat_counts(span.num_scorable, copies),
            )
            for span in self.spans
        )
        return Layout(
            spans=spans,
            valid=self.valid.repeat_interleave(copies, dim=0),
            scorable=self.scorable.repeat_interleave(copies, dim=0),
        )


def _repeat_counts(counts: tuple[int, ...], copies: int) -> tuple[int, ...]:
    return tuple(count for count in counts for _ in range(copies))


def layout_of(tokens: Mapping[str, Tokens]) -> Layout:
    """The layout of a group whose modalities follow one another in the mapping's order."""
    spans, start = [], 0
    for modality, part in tokens.items():
        stop = start + part.values.shape[1]
        spans.append(
            Span(
                modality=modality,
                start=start,
                stop=stop,
                coords=part.coords,
                grid=part.grid,
                num_valid=part.num_valid,
                num_scorable=part.num_scorable,
            )
        )
        start = stop
    return Layout(
        spans=tuple(spans),
        valid=torch.cat([part.valid for part in tokens.values()], dim=1),
        scorable=torch.cat([part.scorable for part in tokens.values()], dim=1),
    )
