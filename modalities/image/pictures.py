"""One image, or one map of classes, as three panels."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import repeat
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from omnimask.data.pixels import as_unit
from omnimask.report.painting import easels
from omnimask.tokens.modality import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HIDDEN_GREY = 0.55


def draw_image(
    pixels: Shaped[Tensor, "c h w"],
    rebuilt: Float[Tensor, "c h w"],
    *,
    visible: Bool[Tensor, " n"],
    patch: tuple[int, int],
) -> Drawing:
    """Original, visible part and reconstruction; `visible` has the patches row by row.

    RGB is shown as it is, alpha over white; one channel in grey; of other numbers of channels the
    first three (of two, the first). Values outside [0, 1], or all below 0.5 in other than 8-bit
    images, are stretched by the original's range.
    """
    span = _span(pixels)
    original = _displayed(as_unit(pixels), span)
    hidden = _hidden(visible, pixels.shape[1] // patch[0], patch)
    figure = _three_panels(original, hidden, _displayed(rebuilt, span))
    if len(pixels) not in (1, 3, 4):
        figure.supxlabel(_shown_channels(len(pixels)), fontsize=8)
    return Drawing(figure=figure)


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """What the ids of a map mean: 0 to `num_classes` - 1, and `unknown`, if there is such an id."""

    num_classes: int
    unknown: int | None

    def coloured(self, ids: Shaped[Tensor, "h w"]) -> np.ndarray:
        """(h w 3) in [0, 1]: each id's own colour; black where unknown."""
        colours = np.array([class_colour(number) for number in range(self.num_classes)])
        numbers = ids.cpu().numpy()
        black = numbers == (-1 if self.unknown is None else self.unknown)
        return np.where(black[..., None], 0.0, colours[np.where(black, 0, numbers)])


def draw_labels(
    classes: Classes,
    original: Shaped[Tensor, "h w"],
    rebuilt: Shaped[Tensor, "h w"],
    *,
    visible: Bool[Tensor, " n"],
    patch: tuple[int, int],
) -> Drawing:
    """Original, visible part and reconstruction of a map of class ids; `patch` in its pixels."""
    hidden = _hidden(visible, len(original) // patch[0], patch)
    panels = classes.coloured(original), hidden, classes.coloured(rebuilt)
    return Drawing(figure=_three_panels(*panels))


def show_pixels(axes: "Axes", pixels: Shaped[Tensor, "c h w"]) -> None:
    """One picture, shown as in `draw_image`."""
    axes.imshow(_displayed(as_unit(pixels), _span(pixels)))


def show_classes(axes: "Axes", classes: Classes, ids: Shaped[Tensor, "h w"]) -> None:
    """A map of class ids, -1 where unknown, in the colours of `draw_labels`."""
    unknown = -1 if classes.unknown is None else classes.unknown
    axes.imshow(classes.coloured(torch.where(ids < 0, unknown, ids)))


def paint_patches(
    colors: Float[Tensor, "k h w 3"], titles: Sequence[str], *, aspect: float
) -> tuple["Figure", "Axes"]:
    """Coloured patches under all titles but the first, whose panel is left to the caller."""
    figure, panels = easels(titles, aspect=aspect)
    for (axes,), cells in zip(panels[1:], colors, strict=True):
        oblong = aspect * cells.shape[1] / len(cells)
        axes.imshow(cells.numpy(), interpolation="nearest", aspect=oblong)
    return figure, panels[0][0]


def class_colour(number: int) -> tuple[float, float, float]:
    """RGB in [0, 1]; hues go round by the golden angle, so that near ids look different."""
    value, saturation = ((0.95, 0.55), (0.7, 0.75), (0.85, 0.9))[number % 3]
    return colorsys.hsv_to_rgb(number * 0.381966 % 1, saturation, value)


def _hidden(
    visible: Bool[Tensor, " n"], num_rows: int, patch: tuple[int, int]
) -> Bool[np.ndarray, "h w"]:
    """Which pixels lie in tokens that were not shown."""
    tokens = ~visible.cpu()
    return repeat(tokens, "(h w) -> (h p) (w q)", h=num_rows, p=patch[0], q=patch[1]).numpy()


def _three_panels(
    original: np.ndarray, hidden: Bool[np.ndarray, "h w"], rebuilt: np.ndarray
) -> "Figure":
    from matplotlib.figure import Figure

    height, width = hidden.shape
    figure = Figure(figsize=(9, 0.3 + 3 * height / width), layout="constrained")
    titles = ("original", "visible", "reconstruction")
    panels = (original, np.where(hidden[..., None], _HIDDEN_GREY, original), rebuilt)
    for axes, title, panel in zip(figure.subplots(1, 3), titles, panels, strict=True):
        _show(axes, panel, title)
    return figure


def _show(axes: "Axes", panel: np.ndarray, title: str) -> None:
    axes.imshow(panel, interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])


def _shown_channels(num_channels: int) -> str:
    if num_channels == 2:
        return "channel 1 of 2"
    return f"channels 1 to 3 of {num_channels} as red, green, blue"


def _span(pixels: Shaped[Tensor, "c h w"]) -> tuple[float, float]:
    """The values that are drawn black and white."""
    if pixels.dtype == torch.uint8:
        return 0.0, 1.0
    low, high = pixels.min().item(), pixels.max().item()
    return (0.0, 1.0) if low >= 0 and 0.5 <= high <= 1 else (low, max(high, low + 1e-6))


def _displayed(pixels: Float[Tensor, "c h w"], span: tuple[float, float]) -> np.ndarray:
    """(h w 3) in [0, 1]."""
    pixels = pixels.float().cpu()
    if len(pixels) == 4:
        alpha = pixels[3:].clamp(0, 1)
        pixels = pixels[:3] * alpha + 1 - alpha
    pixels = pixels[:3] if len(pixels) > 2 else pixels[:1]
    stretched = ((pixels - span[0]) / (span[1] - span[0])).clamp(0, 1)
    return torch.movedim(stretched.expand(3, -1, -1), 0, -1).numpy()
