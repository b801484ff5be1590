"""A scan as slices through its middle along the three axes."""

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from omnimask.report.painting import easels
from omnimask.tokens.modality import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HIDDEN = "#8c8c8c"
_PLANES = ("axial", "coronal", "sagittal")


def draw_volume(
    voxels: Float[Tensor, "d c h w"],
    rebuilt: Float[Tensor, "d c h w"],
    *,
    visible: Bool[Tensor, "d c h w"],
    spacing_mm: tuple[float, float, float],
) -> Drawing:
    """Original, visible part and reconstruction in a row each, of the first channel, in the
    original's range. Hidden patches are grey in the second.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    original, other = voxels[:, 0].float().cpu(), rebuilt[:, 0].float().cpu()
    seen = original.masked_fill(~visible[:, 0].cpu(), torch.nan)
    low, high = original.min().item(), original.max().item()
    colours = colormaps["gray"].with_extremes(bad=_HIDDEN)
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02)
    figure = Figure(figsize=(6.0, 6.3), layout=layout)
    rows = {"original": original, "visible": seen, "reconstruction": other}
    for panels, (title, part) in zip(figure.subplots(3, 3), rows.items(), strict=True):
        for axes, pixels, aspect in zip(panels, _slices(part), _aspects(spacing_mm), strict=True):
            axes.imshow(pixels, cmap=colours, vmin=low, vmax=max(high, low + 1e-6), aspect=aspect)
            axes.set(xticks=[], yticks=[])
        panels[0].set_ylabel(title, fontsize=9)
    for axes, plane in zip(figure.axes, _PLANES):
        axes.set_title(plane, fontsize=8)
    return Drawing(figure=figure)


def paint_volume(
    voxels: Float[Tensor, "d c h w"],
    colors: Float[Tensor, "k gd gh gw 3"],
    titles: Sequence[str],
    *,
    spacing_mm: tuple[float, float, float],
) -> "Figure":
    """The axial slice above, the coronal one below; of the patches those in the same places."""
    figure, panels = easels(titles, rows=2, aspect=1.0)
    aspects = _aspects(spacing_mm)
    for number, pixels in enumerate(_slices(voxels[:, 0].float().cpu())[:2]):
        panels[0][number].imshow(pixels, cmap="gray", aspect=aspects[number])
        height, width = pixels.shape
        for column, patches in zip(panels[1:], colors, strict=True):
            d, h = patches.shape[0] // 2, patches.shape[1] // 2
            cells = (patches[d] if number == 0 else patches[:, h]).flip(0).numpy()
            square = aspects[number] * (height / width) * cells.shape[1] / len(cells)
            column[number].imshow(cells, interpolation="nearest", aspect=square)
    for axes, plane in zip(panels[0], _PLANES):
        axes.set_ylabel(plane, fontsize=8)
    return figure


def show_slice(axes: "Axes", voxels: Float[Tensor, "d c h w"]) -> None:
    """The axial one through the middle."""
    axes.imshow(_slices(voxels[:, 0].float().cpu())[0], cmap="gray")


def show_classes(axes: "Axes", classes: Int64[Tensor, "d h w"], *, num_classes: int) -> None:
    """The same slice of class ids; black where there is none (-1), the first class in dark grey."""
    hues = [colorsys.hsv_to_rgb(number * 0.381966 % 1, 0.65, 0.9) for number in range(num_classes)]
    colours = np.array([(0.0, 0.0, 0.0), (0.25, 0.25, 0.25), *hues[1:]])
    axes.imshow(colours[_slices(classes.cpu())[0] + 1])


def _slices(voxels: Tensor) -> list[np.ndarray]:
    """Through the middle; up is the front in the first, the head in the others."""
    d, h, w = voxels.shape
    planes = (voxels[d // 2], voxels[:, h // 2], voxels[:, :, w // 2])
    return [plane.flip(0).numpy() for plane in planes]


def _aspects(spacing_mm: tuple[float, float, float]) -> list[float]:
    """Height of a voxel over its width, in each of the planes."""
    d, h, w = spacing_mm
    return [h / w, d / w, d / h]
