"""Samples as tokens: a group of samples, the tokens of each modality, the layout that a masker may
see, the view of a group from which targets and masks are made, and packed rows of tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, Protocol, runtime_checkable

import numpy as np
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

    @classmethod
    def dense(
        cls,
        values: Float[Tensor, "b n v"],
        coords: Float[Tensor, "... n c"] | None = None,
        *,
        grid: Grid | None = None,
    ) -> "Tokens":
        """Tokens of a batch in which every token is both valid and scorable.

        `coords`, in the units of the modality's `extent`, are alike for all samples where they have
        no `b`. Without them a token stands at its cell of `grid`.
        """
        num_samples, num_tokens, _ = values.shape
        if coords is None:
            assert grid is not None, "tokens stand on a grid or have coordinates"
            coords = grid_coords(grid, values.device)
        everywhere = torch.ones(num_samples, num_tokens, dtype=torch.bool, device=values.device)
        # A traced graph may have any number of samples, which no tuple on the host can say.
        counts = () if torch.compiler.is_exporting() else (num_tokens,) * num_samples
        return cls(
            values=values,
            coords=coords.expand(num_samples, num_tokens, coords.shape[-1]),
            valid=everywhere,
            scorable=everywhere,
            num_valid=counts,
            num_scorable=counts,
            grid=grid,
        )


def grid_coords(grid: Grid, device: torch.device) -> Float[Tensor, "n c"]:
    """The cells of a grid, counted along its axes; the last axis runs fastest."""
    axes = [torch.arange(size, device=device, dtype=torch.float32) for size in grid.values()]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)


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

    @classmethod
    def of(cls, tokens: Mapping[str, Tokens]) -> "Layout":
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
        return cls(
            spans=tuple(spans),
            valid=torch.cat([part.valid for part in tokens.values()], dim=1),
            scorable=torch.cat([part.scorable for part in tokens.values()], dim=1),
        )

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
        raw = {
            name: {
                key: value.to(device, non_blocking=non_blocking)
                if isinstance(value, Tensor)
                else value
                for key, value in part.items()
            }
            for name, part in self.raw.items()
        }
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

    @classmethod
    def of(cls, group: Group, modalities: Mapping[str, Splits]) -> "View":
        """The group's modalities as tokens, in the order of `modalities`."""
        tokens = {
            name: modality.split(group.raw[name])
            for name, modality in modalities.items()
            if name in group.raw
        }
        return cls(group=group, tokens=tokens, layout=Layout.of(tokens))

    def teacher_of(
        self, modality: str, outputs: tuple[TeacherOutput, ...]
    ) -> tuple[Float[Tensor, "b n d"], ...]:
        """The teacher's outputs for one modality's tokens, in the order of asking."""
        span = self.layout.span(modality)
        return tuple(self.teacher[output][:, span.start : span.stop] for output in outputs)


Lengths = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Rows of tokens, packed one after another without padding; row i has `lengths[i]` tokens.

    A packed tensor is (t ...) with t the sum of `lengths`, a padded one (r width ...). A row may be
    joined from parts: first `parts[0][i]` tokens, then `parts[1][i]`, and so on. Lengths are host
    integers: all index arithmetic happens on the host, so that packing never waits for the device,
    and rows of equal length need no index at all.
    """

    lengths: Lengths
    parts: tuple[Lengths, ...]

    @classmethod
    def of(cls, *parts: Lengths) -> "Rows":
        """Rows whose parts have these lengths; of one part, rows of these lengths."""
        joined = parts[0] if len(parts) == 1 else tuple(map(sum, zip(*parts, strict=True)))
        return cls(lengths=joined, parts=parts)

    @property
    def num_tokens(self) -> int:
        return sum(self.lengths)

    def pack(self, padded: Tensor) -> Tensor:
        """(r width ...) -> (t ...), keeping the first `lengths[i]` entries of row i."""
        width = padded.shape[1]
        flat = padded.flatten(0, 1)
        if min(self.lengths) == width:
            return flat
        return flat.index_select(0, _padded_slots(self.lengths, width, padded.device))

    def unpack(self, packed: Tensor, *, width: int | None = None) -> Tensor:
        """(t ...) -> (r width ...), zero where a row is shorter than the longest (or `width`)."""
        lengths = self.lengths
        width = max(lengths) if width is None else width
        if min(lengths) == width:
            return packed.unflatten(0, (len(lengths), width))
        padded = packed.new_zeros(len(lengths) * width, *packed.shape[1:])
        slots = _padded_slots(lengths, width, packed.device)
        # In place: out of place, index_copy would copy the zeros first.
        return padded.index_copy_(0, slots, packed).unflatten(0, (len(lengths), width))

    def join(self, *packed: Tensor) -> Tensor:
        """The packed parts as one packed tensor: row i of the first, then of the second, ..."""
        if all(map(_are_equal, self.parts)):
            padded = [Rows.of(n).unpack(x) for x, n in zip(packed, self.parts, strict=True)]
            return torch.cat(padded, dim=1).flatten(0, 1)
        order, _ = _interleaving(self.parts, packed[0].device)
        return torch.cat(packed).index_select(0, order)

    def split(self, packed: Tensor) -> tuple[Tensor, ...]:
        """The inverse of `join`."""
        if all(map(_are_equal, self.parts)):
            padded = self.unpack(packed)
            pieces = padded.split([lengths[0] for lengths in self.parts], dim=1)
            return tuple(piece.flatten(0, 1) for piece in pieces)
        _, inverse = _interleaving(self.parts, packed.device)
        return packed.index_select(0, inverse).split([sum(lengths) for lengths in self.parts])

    def narrowed(self, mask: Tensor | None, device: torch.device) -> Tensor | None:
        """What padded queries may attend to among padded keys of these rows, (r 1 1 width) or as
        `mask`: a bias gets -inf at padding; None, which allows everything, becomes which keys are
        tokens, and stays where all are. A mask of booleans is narrow already.
        """
        if _are_equal(self.lengths) or (mask is not None and not mask.is_floating_point()):
            return mask
        real = _not_padding(self.lengths, device)[:, None, None, :]
        return real if mask is None else mask.masked_fill(~real, float("-inf"))

    def row_of_token(self, device: torch.device) -> Int64[Tensor, " t"]:
        """For every packed token, the row it belongs to."""
        return _row_of_token(self.lengths, device)


def _are_equal(lengths: Lengths) -> bool:
    """Whether packed rows of these lengths are also a dense block."""
    return min(lengths) == max(lengths)


def host_index(ids: Sequence[int], device: torch.device) -> Int64[Tensor, " t"]:
    """An index tensor from host integers, copied to `device` without waiting for it."""
    return _to_device(np.asarray(ids, dtype=np.int64), device)


def _to_device(index: Int64[np.ndarray, " t"], device: torch.device) -> Int64[Tensor, " t"]:
    on_host = torch.from_numpy(index)
    if device.type == "cuda":
        return on_host.pin_memory().to(device, non_blocking=True)
    return on_host.to(device)


# The blocks of a step take the same few indices again and again; ragged rows of another step are
# others, so that no more than a few steps' are kept.
@lru_cache(maxsize=64)
def _not_padding(lengths: Lengths, device: torch.device) -> Tensor:
    columns = torch.arange(max(lengths), device=device)
    return columns < host_index(lengths, device)[:, None]


@lru_cache(maxsize=64)
def _padded_slots(lengths: Lengths, width: int, device: torch.device) -> Tensor:
    """For every packed token, its place in the padded (r * width) order."""
    return _to_device(_counted(np.asarray(lengths), width * np.arange(len(lengths))), device)


@lru_cache(maxsize=64)
def _row_of_token(lengths: Lengths, device: torch.device) -> Tensor:
    return _to_device(np.repeat(np.arange(len(lengths)), lengths), device)


@lru_cache(maxsize=64)
def _interleaving(parts: tuple[Lengths, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """The index that brings concatenated parts into row order, and its inverse."""
    lengths = np.asarray(parts)
    stops = lengths.T.cumsum().reshape(lengths.T.shape).T  # of each part of each row, row by row
    inverse = np.concatenate([_counted(*pair) for pair in zip(lengths, stops - lengths)])
    order = np.empty_like(inverse)
    order[inverse] = np.arange(len(inverse))
    return _to_device(order, device), _to_device(inverse, device)


def _counted(
    lengths: Int64[np.ndarray, " r"], starts: Int64[np.ndarray, " r"]
) -> Int64[np.ndarray, " t"]:
    """For every token of packed rows its place, if row i's are counted from `starts[i]`."""
    first = lengths.cumsum() - lengths  # packed
    return np.arange(lengths.sum()) + np.repeat(starts - first, lengths)
