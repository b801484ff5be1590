"""What the masks of a recipe hide of real samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from omnimask.data.samples import readable
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError
from omnimask.masking.hints import predicted_hints
from omnimask.network.encoder import Encoder
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Stream
from omnimask.report.drawing.grid import Line, Section
from omnimask.report.drawing.panels import (
    HIDDEN,
    MISSING,
    PREDICTED,
    VISIBLE,
    Panels,
    Pixels,
    cut_panels,
    tint_predicted,
    token_squares,
    trim_margins,
)
from omnimask.report.drawing.sheet import Sheet
from omnimask.report.drawing.words import masker_words
from omnimask.tokens.tokens import Span, View
from omnimask.training.fitting import fit
from omnimask.training.step import MaskedModel, build_model


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """One mask of every sample of a group: which tokens of the sequence are shown and predicted."""

    label: str
    visible: Bool[Tensor, "b n"]
    predict: Bool[Tensor, "b n"]


def mask_model(recipe: Recipe) -> MaskedModel:
    """A model that draws the recipe's masks, with statistics measured on the training files.

    Untrained; where no teacher gives the masker hints, it has neither teacher nor decoders and an
    encoder of toy size, so that the masks of the largest recipe take no more than its samples do.
    DataError where there is no data.
    """
    root = Path(recipe.data.root)
    if not root.is_dir():
        raise DataError(
            f"data.root: there is no folder {root}; make the sample data with "
            "`omnimask sample-data data/sample`, or write --set data.root=..."
        )
    if not predicted_hints(recipe.masker, recipe.hints):
        encoder = Encoder(width=48, depth=1, num_heads=2)
        recipe = replace(recipe, encoder=encoder, decoders={}, objectives=(), teacher=None)
    return build_model(fit(recipe)).eval()


def hint_note(recipe: Recipe) -> str:
    """What to say of the masks of `mask_model(recipe)`; empty where nobody guides the masker."""
    if not predicted_hints(recipe.masker, recipe.hints):
        return ""
    return "These hints are an untrained teacher's; give a run folder for those of a trained one."


def draw_masks(model: MaskedModel, *, samples: int = 4, draws: int = 4) -> Sheet:
    """For every stream, `samples` held-out (else training) samples under `draws` masks.

    The masks are those of the samples' first visits. Where a visit has several masks, at most
    twice as many as `draws` are drawn, of as many visits as that allows.
    """
    recipe = model.recipe
    return Sheet(
        title=f"Masks of {recipe.name}",
        sections=tuple(
            section
            for stream in recipe.data.streams
            for section in _stream_sections(model, stream, samples=samples, draws=draws)
        ),
    )


def _stream_sections(
    model: MaskedModel, stream: Stream, *, samples: int, draws: int
) -> list[Section]:
    reader = StreamReader(stream, stream.held_out or stream.files, model.recipe)
    forgiving = model.recipe.data.max_bad_files > 0
    indices = readable(reader, samples, forgiving=forgiving)
    (view,) = model.views([reader.held_out_group(indices)])
    visits = [_visit(view, reader, indices, epoch) for epoch in range(draws)]
    start, end = (draw_visits(model, visits, progress=p, draws=draws) for p in (0.0, 1.0))
    stages = {"": start}
    if any(not torch.equal(a.visible, b.visible) for a, b in zip(start, end, strict=True)):
        stages = {"start of training": start, "end of training": end}
    return _sections(model, view, stages)


def _visit(view: View, reader: StreamReader, indices: Sequence[int], epoch: int) -> View:
    """The same samples with the keys of another epoch, from which masks are drawn."""
    keys = torch.tensor([reader.key(index, epoch) for index in indices])
    return replace(view, group=replace(view.group, keys=keys))


@torch.no_grad()
def draw_visits(
    model: MaskedModel, visits: Sequence[View], *, progress: float, draws: int
) -> list[Mask]:
    """The masks of the visits in order: all of one mask, else at most 2 * `draws` in all."""
    masks: list[Mask] = []
    for number, visit in enumerate(visits, start=1):
        plans = model.masks(visit, progress)
        per_visit = sum(plan.copies for plan in plans)
        if number > 1 and len(masks) + per_visit > 2 * draws:
            break
        num_tokens = visit.layout.num_tokens
        copies = [(plan, copy) for plan in plans for copy in range(plan.copies)]
        for place, (plan, copy) in enumerate(copies[: 2 * draws], start=1):
            rows = slice(copy, None, plan.copies)
            masks.append(
                Mask(
                    label=f"mask {number}" if per_visit == 1 else f"draw {number}, mask {place}",
                    visible=plan.is_visible(num_tokens)[rows],
                    predict=plan.is_predicted(num_tokens)[rows],
                )
            )
    return masks


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """One modality at one stage of training."""

    line: Line
    detail: str
    squares: bool
    tinted: bool


def _sections(model: MaskedModel, view: View, stages: dict[str, list[Mask]]) -> list[Section]:
    """One section of the group; two where some of its modalities can only be drawn as squares."""
    spans = view.layout.spans
    words = {s.modality: masker_words(model.recipe.masker, s.modality) for s in spans}
    same = len(set(words.values())) == 1
    parts = []
    for span in spans:
        for stage, masks in stages.items():
            name = span.modality if len(spans) > 1 else ""
            part = _part(model, view, span, masks)
            line = replace(part.line, label=", ".join(filter(None, (name, stage))))
            about = filter(None, (line.label, "" if same else words[span.modality], part.detail))
            parts.append(replace(part, line=line, detail=": ".join(about)))
    shared = tuple(set(words.values())) if same else ()
    sections = []
    for squares in (False, True):
        chosen = [part for part in parts if part.squares == squares]
        if chosen:
            sections.append(
                Section(
                    heading=view.group.stream,
                    details=(*shared, *(part.detail for part in chosen)),
                    roles=("original", *(mask.label for mask in next(iter(stages.values())))),
                    lines=tuple(part.line for part in chosen),
                    legend=_legend(squares=squares, tinted=any(part.tinted for part in chosen)),
                    squares=squares,
                )
            )
    return sections


def _legend(*, squares: bool, tinted: bool) -> tuple[tuple[tuple[int, int, int], str], ...]:
    hidden = (HIDDEN, "hidden, not predicted" if tinted else "hidden")
    predicted = ((PREDICTED, "hidden and predicted"),) if tinted else ()
    if squares:
        return ((VISIBLE, "visible"), *predicted, hidden, (MISSING, "missing"))
    return (*predicted, hidden) if tinted else ()


def _numbers(view: View, span: Span, masks: Sequence[Mask]) -> str:
    """How much is visible, hidden and predicted, over the drawn samples and masks."""
    where = slice(span.start, span.stop)
    valid, scorable = view.layout.valid[:, where], view.layout.scorable[:, where]
    visible = torch.stack([mask.visible[:, where] for mask in masks])
    predict = torch.stack([mask.predict[:, where] for mask in masks])
    count = max(int(valid.sum()) * len(masks), 1)
    if torch.equal(valid, scorable):
        predicted = f"predicted {100 * int(predict.sum()) / count:.0f} %"
    else:  # what is asked about is not a part of what could be shown
        predicted = f"{_extent(predict.sum(dim=2))} tokens predicted"
    return (
        f"{_extent(visible.sum(dim=2))} of {_extent(valid.sum(dim=1))} tokens visible, "
        f"hidden {100 - 100 * int(visible.sum()) / count:.0f} %, {predicted}"
    )


def _extent(counts: Tensor) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _part(model: MaskedModel, view: View, span: Span, masks: Sequence[Mask]) -> _Part:
    parts = [
        mask_pictures(model, view, span, masks, index=index) for index in range(len(view.group))
    ]
    pictures = [picture for part in parts for picture in part.pictures]
    if not all(part.framed for part in parts):
        pictures = trim_margins(pictures)
    per_sample = len(masks) + 1
    samples = tuple(
        tuple(pictures[i : i + per_sample]) for i in range(0, len(pictures), per_sample)
    )
    return _Part(
        line=Line(label="", samples=samples),
        detail=_numbers(view, span, masks),
        squares=any(part.squares for part in parts),
        tinted=any(part.tinted for part in parts),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """The original and every mask of one sample; `squares` where they are tokens, not content."""

    pictures: tuple[Pixels, ...]
    framed: bool = True
    squares: bool = False
    tinted: bool = False


def mask_pictures(
    model: MaskedModel, view: View, span: Span, masks: Sequence[Mask], *, index: int
) -> Pictures:
    """One sample of one modality under each of the masks."""
    where = slice(span.start, span.stop)
    tokens = view.tokens[span.modality]
    present = tokens.valid | tokens.scorable
    spans = [(mask.visible[:, where], mask.predict[:, where]) for mask in masks]
    partly = [
        bool((present & ~visible & ~predict)[index].any() and predict[index].any())
        for visible, predict in spans
    ]
    first = _panels(model, view, span, spans[0][0], index)
    if first is None:
        whole = token_squares(tokens.valid[index], present[index], present[index])
        squares = [
            token_squares(visible[index], predict[index] & tint, present[index])
            for (visible, predict), tint in zip(spans, partly, strict=True)
        ]
        return Pictures(pictures=(whole, *squares), squares=True, tinted=any(partly))
    pictures = [first.pictures[0]]
    for number, ((visible, predict), tint) in enumerate(zip(spans, partly, strict=True)):
        seen = _panels(model, view, span, visible, index) if number else first
        predicted = _panels(model, view, span, predict, index) if tint else None
        nothing = _panels(model, view, span, torch.zeros_like(visible), index) if tint else None
        assert seen is not None, "a modality's drawings are all of one form"
        picture = seen.pictures[1]
        if predicted is not None and nothing is not None:
            picture = tint_predicted(picture, predicted.pictures[1], nothing.pictures[1])
        pictures.append(picture)
    return Pictures(pictures=tuple(pictures), framed=first.framed, tinted=any(partly))


def _panels(model: MaskedModel, view: View, span: Span, flags: Tensor, index: int) -> Panels | None:
    """A drawing with the tokens of `flags` (b n) in its second panel and the original elsewhere."""
    raw, values = view.group.raw[span.modality], view.tokens[span.modality].values.float()
    drawing = model.modalities[span.modality].draw(raw, visible=flags, filled=values, index=index)
    return cut_panels(drawing.figure)
