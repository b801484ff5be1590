"""Held-out samples as original, visible part and reconstruction, and as an encoder sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from omnimask.network.encoder import Backbone
from omnimask.objectives.targets import Restoring
from omnimask.report.drawing.features import Painted, paint, painted_features
from omnimask.tokens.modality import Drawing
from omnimask.tokens.tokens import Group, Raw
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.fill import Filled, fill

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


def paint_group(model: MaskedModel, untrained: Backbone, group: Group) -> list[Gallery]:
    """A gallery for each modality: features of tokens, likeness and attention (`features.py`)."""
    device = next(model.parameters()).device
    (view,) = model.views([group.to(device)])
    painted = painted_features(model.backbone, untrained.to(device), view)
    return [
        Gallery(
            stream=group.stream,
            modality=name,
            pictures=tuple(_painted(model, group, name, *part) for part in enumerate(parts)),
            notes=(),
        )
        for name, parts in painted.items()
    ]


def _painted(
    model: MaskedModel, group: Group, modality: str, index: int, painted: Painted
) -> Picture:
    figure = paint(model.modalities[modality], group.raw[modality], painted, index=index)
    return _picture(group.names[index], Drawing(figure=figure))


def _draw(model: MaskedModel, group: Group, modality: str, filled: Filled, index: int) -> Picture:
    raw: Raw = group.raw[modality]
    drawing = model.modalities[modality].draw(
        raw, visible=filled.visible.cpu(), filled=filled.values.cpu(), index=index
    )
    return _picture(group.names[index], drawing)


def _picture(sample: str, drawing: Drawing) -> Picture:
    return Picture(
        sample=sample,
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
