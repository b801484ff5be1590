"""One clip as a film strip."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from modalities.video.modality import VideoTubelets, integers_of, tensor_of
from omnimask.modality import Drawing
from omnimask.tokens import Raw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HIDDEN_GREY = 140
_MOST_COLUMNS = 6


def draw_clip(
    modality: VideoTubelets,
    raw: Raw,
    *,
    shown: Bool[Tensor, "b n"],
    filled: Float[Tensor, "b n v"],
    index: int,
) -> Drawing:
    """Original, visible part and reconstruction of up to six frames of sample `index`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    num_frames = integers_of(raw, "num_frames")[index]
    columns = np.unique(np.linspace(0, num_frames - 1, _MOST_COLUMNS).round().astype(int))
    one = {
        "frames": tensor_of(raw, "frames")[index : index + 1],
        "num_frames": (num_frames,),
        "real_frames": tensor_of(raw, "real_frames")[index : index + 1],
    }
    rebuilt = tensor_of(modality.join(filled[index : index + 1].float(), one), "frames")[0]
    original = _displayed(one["frames"][0], columns)
    hidden = ~_shown_pixels(modality, shown[index])[columns]
    rows = {
        "original": original,
        "visible": np.where(hidden[..., None], np.uint8(_HIDDEN_GREY), original),
        "reconstruction": _displayed(rebuilt, columns),
    }

    aspect = modality.size[0] / modality.size[1]
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


def _show(axes: "Axes", picture: UInt8[np.ndarray, "h w 3"]) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _displayed(
    frames: UInt8[Tensor, "t c h w"], columns: np.ndarray
) -> UInt8[np.ndarray, "k h w 3"]:
    return rearrange(frames[torch.from_numpy(columns)].cpu(), "k c h w -> k h w c").numpy()


def _shown_pixels(modality: VideoTubelets, shown: Bool[Tensor, " n"]) -> Bool[np.ndarray, "t h w"]:
    grid, tubelet = modality.grid, modality.tubelet
    return repeat(
        shown.cpu(),
        "(t h w) -> (t pt) (h ph) (w pw)",
        t=grid["t"],
        h=grid["h"],
        pt=tubelet[0],
        ph=tubelet[1],
        pw=tubelet[2],
    ).numpy()
