"""Samples as tokens: a group of samples, the tokens of each modality, the layout that a masker may
see, and the view of a group from which targets and masks are made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from omnimask.foundation.rng import Rng

Grid = Mapping[str, int]  # named axes in storage order, such as {"t": 8, "h": 14, "w": 14}
Raw = Mapping[str, Tensor | tuple[int, ...]]  # one collated modality; tuples stay on the host


def tensor_of(raw: Raw, name: str) -> Tensor:
    """A part that is a tensor, on the device of the batch."""
    part = raw[name]
    assert isinstance(part, Tensor), f"{name} holds integers of the host"
    return part


def integers_of(raw: Raw, name: str) -> tuple[int, ...]:
    """A part that has one integer per sample, on the host."""
    part = raw[name]
    assert isinstance(part, tuple), f"{name} is a tensor"
    return part


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

    @property
    def num_tokens(self) -> int:
        """The length n of the sequence, padding included."""
        return self.valid.shape[1]

    def span(self, modality: str) -> Span:
        """Where a modality of the group stands."""
        return next(span for span in self.spans if span.modality == modality)

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Samples of one stream: `{modality: raw}` with one batch size.

    `keys` has one 64-bit key per sample, a function of (seed, stream, epoch, sample); everything
    random about the sample comes from it. `names` are the samples' names, for logs. `labels` are
    there in supervised runs only: what they mean is the task's, NaN is unknown.
    """

    stream: str
    raw: Mapping[str, Raw]
    keys: Int64[Tensor, " b"]
    names: tuple[str, ...]
    labels: Float[Tensor, "b k"] | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Group":
        raw = {name: _move(part, device, non_blocking) for name, part in self.raw.items()}
        return replace(
            self,
            raw=raw,
            keys=self.keys.to(device, non_blocking=non_blocking),
            labels=None
            if self.labels is None
            else self.labels.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Group":
        raw = {
            name: {k: v.pin_memory() if isinstance(v, Tensor) else v for k, v in part.items()}
            for name, part in self.raw.items()
        }
        labels = None if self.labels is None else self.labels.pin_memory()
        return replace(self, raw=raw, keys=self.keys.pin_memory(), labels=labels)

    @property
    def rng(self) -> Rng:
        return Rng(keys=self.keys)

    def __len__(self) -> int:
        return len(self.names)


def _move(raw: Raw, device: torch.device | str, non_blocking: bool) -> Raw:
    return {
        key: value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value
        for key, value in raw.items()
    }


TeacherOutput = int | Literal["codes"]


@runtime_checkable
class Splits(Protocol):
    """What a view needs of a modality."""

    def split(self, raw: Raw, /) -> Tokens: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A group as targets and masks see it, nothing hidden.

    `teacher` has the teacher's outputs (b n d) that targets read, zero at invalid tokens; `hints`
    what the masker asks for, by name, None where it asks for nothing.
    """

    group: Group
    tokens: Mapping[str, Tokens]
    layout: Layout
    teacher: Mapping[TeacherOutput, Tensor] = field(default_factory=dict)
    hints: Mapping[str, Float[Tensor, "b n"]] | None = None

    def teacher_of(
        self, modality: str, outputs: tuple[TeacherOutput, ...]
    ) -> tuple[Float[Tensor, "b n d"], ...]:
        """The teacher's outputs for one modality's tokens, in the order of asking."""
        span = self.layout.span(modality)
        return tuple(self.teacher[output][:, span.start : span.stop] for output in outputs)


def view_of(group: Group, modalities: Mapping[str, Splits]) -> View:
    """The group's modalities as tokens, in the order of `modalities`."""
    tokens = {
        name: modality.split(group.raw[name])
        for name, modality in modalities.items()
        if name in group.raw
    }
    return View(group=group, tokens=tokens, layout=layout_of(tokens))
