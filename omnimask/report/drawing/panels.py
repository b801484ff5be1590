"""Single panels cut out of a modality's drawing, and what stands in where there are none."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Raw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = UInt8[np.ndarray, "_ _ 3"]  # height and width of any two need not be the same

PREDICTED = (0xF0, 0xA8, 0x3C)  # hidden and predicted, where not all that is hidden is predicted
HIDDEN = (0x8C, 0x8C, 0x8C)
VISIBLE = (0x2F, 0x6F, 0xB7)
MISSING = (0xF1, 0xF3, 0xF5)
_DOTS_PER_INCH = 110
_SQUARE, _GAP, _MOST_IN_A_ROW = 20, 3, 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Panels:
    """Original, visible part and reconstruction, of one size.

    `framed` is False where the panels' margins hold nothing, as around a cloud of points.
    """

    pictures: tuple[Pixels, Pixels, Pixels]
    framed: bool


def cut_panels(figure: "Figure") -> Panels | None:
    """The three parts of a drawing without titles, ticks and colour bars.

    A drawing of k panels each, in the order original, visible, reconstruction, has 3 k axes; one
    with another number has no panels that could be told apart, and the answer is None.
    """
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    per_part, rest = divmod(len(panels), 3)
    if rest or not per_part:
        return None
    for text in figure.texts:
        text.set_text("")
    for axes in panels:
        _bare(axes)
    canvas = _rendered(figure)
    boxes = [_box(panels[i * per_part : (i + 1) * per_part]) for i in range(3)]
    height, width = (int(min(box[side] for box in boxes)) for side in (2, 3))
    original, visible, rebuilt = (
        canvas[top : top + height, left : left + width]
        for top, left in ((max(round(len(canvas) - box[0]), 0), round(box[1])) for box in boxes)
    )
    framed = any(axes.axison for axes in panels)
    return Panels(pictures=(original, visible, rebuilt), framed=framed)


def original(modality: Modality, raw: Raw, index: int = 0) -> Pixels:
    """One sample as its modality draws it, with everything shown: the first panel, or all of a
    drawing without panels.
    """
    tokens = modality.split(raw)
    drawing = modality.draw(raw, visible=tokens.valid, filled=tokens.values.float(), index=index)
    cut = cut_panels(drawing.figure)
    return whole_drawing(drawing.figure) if cut is None else cut.pictures[0]


def _bare(axes: "Axes") -> None:
    axes.set_title("")
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _rendered(figure: "Figure") -> Pixels:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(_DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _box(panels: Sequence["Axes"]) -> tuple[float, float, float, float]:
    """Top (from the bottom of the canvas), left, height and width of what the panels cover."""
    boxes = [axes.get_window_extent() for axes in panels]
    left, right = max(min(box.x0 for box in boxes), 0.0), max(box.x1 for box in boxes)
    bottom, top = max(min(box.y0 for box in boxes), 0.0), max(box.y1 for box in boxes)
    return top, left, top - bottom, right - left


def whole_drawing(figure: "Figure") -> Pixels:
    """Everything, without its margins: for drawings that have no panels."""
    from PIL import Image

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DOTS_PER_INCH, bbox_inches="tight", pad_inches=0.06)
    return np.asarray(Image.open(file).convert("RGB"))


def tint_predicted(visible: Pixels, predicted: Pixels, hidden: Pixels) -> Pixels:
    """The visible panel with what is predicted in another colour than what is only hidden.

    `predicted` and `hidden` are the visible panels of drawings that show what is predicted, and
    nothing: where these two differ there is something to predict, whatever the modality.
    """
    changed = (predicted != hidden).any(axis=2) & (visible == hidden).all(axis=2)
    tinted = 0.3 * visible + 0.7 * np.array(PREDICTED)
    return np.where(changed[..., None], tinted.round().astype(np.uint8), visible)


def token_squares(
    visible: Bool[Tensor, " n"],
    predict: Bool[Tensor, " n"],
    present: Bool[Tensor, " n"],
    *,
    colors: Float[Tensor, "n 3"] | None = None,
) -> Pixels:
    """A square for each token in the order of the sequence: shown, predicted, hidden, missing.
    Those that are shown are in `colors` of their own (RGB in [0, 1]), where there are any.
    """
    shown = np.array(VISIBLE) if colors is None else (255 * colors.numpy()).round()
    squares = np.select(
        [visible[:, None].numpy(), predict[:, None].numpy(), present[:, None].numpy()],
        [shown, np.array(PREDICTED), np.array(HIDDEN)],
        np.array(MISSING),
    ).astype(np.uint8)
    columns = min(len(squares), _MOST_IN_A_ROW)
    rows = -(-len(squares) // columns)
    pitch = _SQUARE + _GAP
    page = np.full((rows * pitch + _GAP, columns * pitch + _GAP, 3), 255, dtype=np.uint8)
    for number, color in enumerate(squares):
        top, left = (_GAP + place * pitch for place in divmod(number, columns))
        page[top : top + _SQUARE, left : left + _SQUARE] = color
    return page


def trim_margins(pictures: Sequence[Pixels]) -> list[Pixels]:
    """Pictures of one size without the white margins that all of them have."""
    inked = np.logical_or.reduce([(picture < 250).any(axis=2) for picture in pictures])
    if not inked.any():
        return list(pictures)
    rows, columns = (np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0))
    where = (
        slice(max(rows[0] - 4, 0), rows[-1] + 5),
        slice(max(columns[0] - 4, 0), columns[-1] + 5),
    )
    return [picture[where] for picture in pictures]
