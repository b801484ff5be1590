"""One clip as a film strip."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from omnimask.report.painting import easels
from omnimask.tokens.modality import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HIDDEN_GREY = 140
_MOST_COLUMNS = 6


def draw_clip(
    frames: UInt8[Tensor, "t c h w"],
    rebuilt: UInt8[Tensor, "t c h w"],
    *,
    visible: Bool[Tensor, "gt gh gw"],
    tubelet: tuple[int, int, int],
) -> Drawing:
    """Original, visible part and reconstruction of up to six frames of a clip without padding;
    `visible` may go on after its end.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    num_frames = len(frames)
    columns = np.unique(np.linspace(0, num_frames - 1, _MOST_COLUMNS).round().astype(int))
    original = _displayed(frames, columns)
    hidden = ~_visible_pixels(visible, tubelet)[columns]
    rows = {
        "original": original,
        "visible": np.where(hidden[..., None], np.uint8(_HIDDEN_GREY), original),
        "reconstruction": _displayed(rebuilt, columns),
    }

    aspect = frames.shape[2] / frames.shape[3]
    width = 9 * len(columns) / _MOST_COLUMNS + 0.4
    height = 0.3 + 3 * (9 / _MOST_COLUMNS) * aspect
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02)
    figure = Figure(figsize=(max(width, 3.0), height), layout=layout)
    panels = figure.subplots(3, len(columns), squeeze=False)
    for axes_of_row, (title, pictures) in zip(panels, rows.items(), strict=True):
        for axes, picture in zip(axes_of_row, pictures, strict=True):
            _show(axes, picture)
        axes_of_row[0].set_ylabel(title, fontsize=9)
    for axes, number in zip(panels[0], columns, strict=True):
        axes.set_title(f"frame {number + 1} of {num_frames}", fontsize=8)
    return Drawing(figure=figure)


def paint_clip(
    frames: UInt8[Tensor, "t c h w"],
    colors: Float[Tensor, "k gt gh gw 3"],
    titles: Sequence[str],
    *,
    length: int,
) -> "Figure":
    """The frames in the middle of two tubelets, a third and two thirds into the clip; below the
    other titles their tubelets. `length` is a tubelet's frames.
    """
    moments = np.unique([len(colors[0]) // 3, 2 * len(colors[0]) // 3])
    aspect = frames.shape[2] / frames.shape[3]
    figure, panels = easels(titles, rows=len(moments), aspect=aspect)
    middles = np.minimum(moments * length + length // 2, len(frames) - 1)
    for axes, picture in zip(panels[0], _displayed(frames, middles), strict=True):
        _show(axes, picture)
    for column, cells in zip(panels[1:], colors, strict=True):
        for axes, moment in zip(column, moments, strict=True):
            now = cells[moment].numpy()
            axes.imshow(now, interpolation="nearest", aspect=aspect * now.shape[1] / len(now))
    return figure


def _show(axes: "Axes", picture: UInt8[np.ndarray, "h w 3"]) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _displayed(
    frames: UInt8[Tensor, "t c h w"], columns: np.ndarray
) -> UInt8[np.ndarray, "k h w 3"]:
    return rearrange(frames[torch.from_numpy(columns)].cpu(), "k c h w -> k h w c").numpy()


def _visible_pixels(
    visible: Bool[Tensor, "gt gh gw"], tubelet: tuple[int, int, int]
) -> Bool[np.ndarray, "t h w"]:
    return repeat(
        visible.cpu(),
        "t h w -> (t pt) (h ph) (w pw)",
        pt=tubelet[0],
        ph=tubelet[1],
        pw=tubelet[2],
    ).numpy()
