"""Held-out samples as original, visible part and reconstruction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from omnimask.masking.plan import MaskPlan
from omnimask.objectives.objective import Objective
from omnimask.objectives.targets import Restoring
from omnimask.tokens.modality import Drawing
from omnimask.tokens.tokens import Group, Raw, Span, Tokens, View
from omnimask.training.step import MaskedModel

_DOTS_PER_INCH = 130


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One sample of one modality, drawn."""

    sample: str
    png: bytes
    html: str
    needs_plotly: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """The pictures of one modality of one stream, and what to say below them."""

    stream: str
    modality: str
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """One modality of a group under one mask: which tokens were shown, and all of their values.

    `restored` names the objectives whose predictions are in the values; where there is none, the
    hidden tokens are zero and a picture would show nothing.
    """

    shown: Bool[Tensor, "b n"]
    values: Float[Tensor, "b n v"]
    restored: tuple[str, ...]


def draw_group(model: MaskedModel, group: Group) -> list[Gallery]:
    """A gallery for each modality of the group, without pictures where nothing is restored."""
    device = next(model.parameters()).device
    filled = fill(model, model.views([group.to(device)])[0])
    return [
        Gallery(
            stream=group.stream,
            modality=name,
            pictures=tuple(
                _draw(model, group, name, part, index)
                for index in range(len(group))
                if part.restored
            ),
            notes=tuple(notes_below(model, name, part.restored)),
        )
        for name, part in filled.items()
    ]


@torch.no_grad()
def fill(model: MaskedModel, view: View) -> dict[str, Filled]:
    """Predicts the first copy of the recipe's first mask, and puts predictions in their places.

    Objectives of one modality apply in the recipe's order, each to the values that the former
    left. A hidden token that nothing restores has zeros.
    """
    plan = model.masks(view, 1.0)[0]
    (encoded,) = model.encode([view], [[plan]])
    predictions = model.predictions(encoded)
    first = first_copy(plan)
    filled = {}
    for span in view.layout.spans:
        objectives = [o for o in model.recipe.objectives if o.modality == span.modality]
        tokens = view.tokens[span.modality]
        values, restored = _restore(objectives, predictions, tokens, span=span, plan=plan)
        shown = places(first.visible_ids, first.visible_ok, view.layout.valid.shape[1])
        shown = shown[:, span.start : span.stop]
        filled[span.modality] = Filled(
            shown=shown,
            values=torch.where(shown[:, :, None], tokens.values.float(), values),
            restored=restored,
        )
    return filled


def first_copy(plan: MaskPlan) -> MaskPlan:
    """The plan of only the first of several masks of each sample."""
    step = plan.copies
    return MaskPlan(
        visible_ids=plan.visible_ids[::step],
        visible_ok=plan.visible_ok[::step],
        predict_ids=plan.predict_ids[::step],
        predict_ok=plan.predict_ok[::step],
        num_visible=plan.num_visible[::step],
        num_predict=plan.num_predict[::step],
    )


def places(
    ids: Int64[Tensor, "r k"], ok: Bool[Tensor, "r k"], num_tokens: int
) -> Bool[Tensor, "r n"]:
    """Which tokens the ids name; an id that is not ok names none."""
    counts = torch.zeros(len(ids), num_tokens, dtype=torch.long, device=ids.device)
    return counts.scatter_add_(1, ids, ok.long()) > 0


def _restore(
    objectives: Sequence[Objective],
    predictions: Mapping[str, Tensor],
    tokens: Tokens,
    *,
    span: Span,
    plan: MaskPlan,
) -> tuple[Float[Tensor, "b n v"], tuple[str, ...]]:
    """Token values after every objective, zero where none restored, and which restored."""
    values = tokens.values.float()
    covered = torch.zeros_like(tokens.valid)
    names = []
    for objective in objectives:
        predicted, asked = _at_tokens(predictions[objective.name][:: plan.copies], span, plan)
        target = objective.target
        if not isinstance(target, Restoring):
            continue
        restored = target.restore(predicted, replace(tokens, values=values))
        if restored is not None:
            names.append(objective.name)
            values = torch.where(asked[:, :, None], restored.float(), values)
            covered |= asked
    return torch.where(covered[:, :, None], values, 0.0), tuple(names)


def _at_tokens(
    predicted: Float[Tensor, "b k p"], span: Span, plan: MaskPlan
) -> tuple[Float[Tensor, "b n p"], Bool[Tensor, "b n"]]:
    """Predictions at the plan's ids as predictions at the span's tokens, and which were asked."""
    first = first_copy(plan)
    inside = (first.predict_ids >= span.start) & (first.predict_ids < span.stop) & first.predict_ok
    ids = torch.where(inside, first.predict_ids - span.start, 0)
    asked = places(ids, inside, len(span))
    everywhere = predicted.new_zeros(len(ids), len(span), predicted.shape[2], dtype=torch.float32)
    contents = torch.where(inside[:, :, None], predicted.float(), 0.0)
    return everywhere.scatter_add_(1, ids[:, :, None].expand_as(contents), contents), asked


def _draw(model: MaskedModel, group: Group, modality: str, filled: Filled, index: int) -> Picture:
    raw: Raw = group.raw[modality]
    drawing = model.modalities[modality].draw(
        raw, shown=filled.shown.cpu(), filled=filled.values.cpu(), index=index
    )
    return Picture(
        sample=group.names[index],
        png=figure_png(drawing),
        html=drawing.html,
        needs_plotly=drawing.needs_plotly,
    )


def figure_png(drawing: Drawing) -> bytes:
    buffer = BytesIO()
    drawing.figure.savefig(
        buffer, format="png", dpi=_DOTS_PER_INCH, bbox_inches="tight", pad_inches=0.06
    )
    return buffer.getvalue()


def notes_below(model: MaskedModel, modality: str, restored: Sequence[str]) -> list[str]:
    """What the pictures of a modality do not say."""
    objectives = [o for o in model.recipe.objectives if o.modality == modality]
    notes = [] if objectives else ["No objective predicts this modality: it is input only."]
    for objective in objectives:
        if objective.target.teacher_layers:
            notes.append(
                f"{objective.name} predicts features of a teacher. They have no form that could be "
                "drawn, so there is no reconstruction by it."
            )
        elif objective.name not in restored:
            notes.append(f"{objective.name} is learnt too, but its prediction is not drawn.")
        target = objective.target
        if isinstance(target, Restoring) and target.restores_with:
            notes.append(
                f"{objective.name}: the reconstruction uses {target.restores_with}, "
                "taken from the original. The model does not predict them."
            )
    return notes
