"""A sweep from above: as it is, as the encoder saw it, and reconstructed; a part of it enlarged;
and in 3D to turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from omnimask.report.painting import easels
from omnimask.report.turning import HIDDEN, PLAIN, PREDICTED, VISIBLE, Layer, Scene, turning
from omnimask.tokens.modality import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = "viridis"
_GREY, _PALE, _INK = "#c8c8c8", "#eceff3", "#4b5563"
_ENLARGED_VOXELS = 4  # along x and y


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """One sample: points in metres, as they are and as predicted (`rebuilt`), those that are `ok`,
    and of each voxel the middle and what it is.
    """

    centers: Float[Tensor, "n 3"]
    points: Float[Tensor, "n k 3"]
    ok: Bool[Tensor, "n k"]
    rebuilt: Float[Tensor, "n k 3"]
    rebuilt_ok: Bool[Tensor, "n k"]
    occupied: Bool[Tensor, " n"]
    visible: Bool[Tensor, " n"]
    scorable: Bool[Tensor, " n"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What is seen of the world: `range_m` along x, y, z, and a voxel's size."""

    range_m: tuple[tuple[float, float], ...]
    voxel_size_m: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    """Points in metres: all there are, those of shown and of hidden voxels, and the predicted."""

    original: Float[np.ndarray, "_ 3"]
    visible: Float[np.ndarray, "_ 3"]
    hidden: Float[np.ndarray, "_ 3"]
    predicted: Float[np.ndarray, "_ 3"]
    hidden_centers: Float[np.ndarray, "h 3"]

    @staticmethod
    def of(sweep: Sweep) -> "_Parts":
        hidden = sweep.occupied & ~sweep.visible
        return _Parts(
            original=_points(sweep.points, sweep.ok, sweep.occupied),
            visible=_points(sweep.points, sweep.ok, sweep.visible),
            hidden=_points(sweep.points, sweep.ok, hidden),
            predicted=_points(sweep.rebuilt, sweep.rebuilt_ok, sweep.scorable & ~sweep.visible),
            hidden_centers=sweep.centers[hidden].detach().cpu().numpy(),
        )


def draw_voxels(sweep: Sweep, frame: Frame) -> Drawing:
    """Three panels, below them the same enlarged where most is hidden, and the same in 3D."""
    parts = _Parts.of(sweep)
    titles = (
        "original",
        f"visible ({int(sweep.visible.sum())} of {int(sweep.occupied.sum())} voxels)",
        "reconstruction",
    )
    return Drawing(figure=_figure(titles, parts, sweep, frame), html=_turned(parts))


def stamp_share(sweep: Sweep) -> float | None:
    """How much of the spread of predicted places inside voxels is the same in every voxel, 0 to 1;
    None where fewer than two voxels are predicted.

    At 1 the model predicts one pattern everywhere, whatever it sees: the best that a model can do
    that does not know where the points of a voxel are.
    """
    predicted = (sweep.occupied & ~sweep.visible).cpu()
    slots = sweep.rebuilt_ok.cpu()[predicted]
    if len(slots) < 2:
        return None
    offsets = (sweep.rebuilt - sweep.centers[:, None]).detach().float().cpu()[predicted]
    offsets = offsets[:, slots.all(dim=0)].flatten(1)
    if offsets.numel() == 0:
        return None
    spread = offsets.unflatten(1, (-1, 3))
    whole = (spread - spread.mean(dim=(0, 1))).square().mean()
    if whole < 1e-12:
        return 1.0
    own = (offsets - offsets.mean(dim=0)).square().mean()
    return float((1 - own / whole).clamp(0, 1))


def paint_voxels(
    points: Float[Tensor, "n p 3"],
    ok: Bool[Tensor, "n p"],
    colors: Float[Tensor, "k n 3"],
    titles: Sequence[str],
    *,
    frame: Frame,
) -> Figure:
    """Occupied voxels from above: their points by height, then in their voxels' colours."""
    figure, panels = easels(titles)
    x, y, z = points[ok].float().T.numpy()
    voxels = torch.arange(len(ok))[:, None].expand(ok.shape)[ok]
    for number, (axes,) in enumerate(panels):
        c = z if number == 0 else colors[number - 1][voxels].numpy()
        axes.scatter(x, y, s=3, linewidths=0, c=c, cmap=_COLORS if number == 0 else None)
        axes.set(xlim=frame.range_m[0], ylim=frame.range_m[1], aspect="equal")
    return figure


def _points(
    points: Float[Tensor, "n k 3"], ok: Bool[Tensor, "n k"], voxels: Bool[Tensor, " n"]
) -> np.ndarray:
    """The real points of the voxels in which `voxels` is True."""
    return points[ok & voxels[:, None]].detach().float().cpu().numpy()


def _figure(titles: tuple[str, ...], parts: _Parts, sweep: Sweep, frame: Frame) -> Figure:
    figure = Figure(figsize=(9, 6.3), layout="constrained")
    # Column by column: a part of the drawing has its own two panels one after the other.
    places = [1 + column + 3 * row for column in range(3) for row in (0, 1)]
    panels = [figure.add_subplot(2, 3, place) for place in places]
    low, high = np.percentile(parts.original[:, 2], [2, 99]) if len(parts.original) else (0.0, 1.0)
    norm = Normalize(low, max(high, low + 1e-3))
    heights = ScalarMappable(norm, cmap=_COLORS)
    shown = (
        [parts.original],
        [parts.visible],
        [parts.visible, parts.predicted],
    )
    around = _fullest(parts, frame)
    for column, (title, clouds) in enumerate(zip(titles, shown, strict=True)):
        whole, near = panels[2 * column : 2 * column + 2]
        for axes, size in ((whole, 2.5), (near, 26.0)):
            if column:
                _squares(axes, parts.hidden_centers, frame, _GREY if column == 1 else _PALE)
            for cloud in clouds if column < 2 or axes is whole else ():
                x, y, z = cloud.T
                axes.scatter(x, y, s=size, c=z, cmap=_COLORS, norm=norm, linewidths=0)
            axes.set_aspect("equal")
            axes.tick_params(labelsize=7)
        whole.plot(0, 0, marker="+", color="black", markersize=6)  # the sensor
        whole.set(xlim=frame.range_m[0], ylim=frame.range_m[1])
        whole.set_title(title, fontsize=10)
        _enlarge(near, around, frame)
        near.set_xlabel("x / m", fontsize=8)
    _compare(panels[5], parts)
    for axes in panels[:2]:
        axes.set_ylabel("y / m", fontsize=8)
    panels[3].set_title("enlarged, from above", fontsize=9)
    bar = figure.colorbar(heights, ax=list(panels), shrink=0.6, aspect=30, pad=0.01)
    bar.set_label("height / m", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.supxlabel(_said(sweep), fontsize=8, color=_INK)
    return figure


def _compare(axes: "Axes", parts: _Parts) -> None:
    """What was predicted beside what was hidden."""
    for points, style, name in (
        (parts.visible, {"s": 8, "c": _GREY}, "visible"),
        (parts.hidden, {"s": 24, "c": "none", "edgecolors": _INK}, "true, was hidden"),
        (parts.predicted, {"s": 14, "c": PREDICTED}, "predicted"),
    ):
        axes.scatter(points[:, 0], points[:, 1], linewidths=0.6, label=name, **style)
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=3,
        fontsize=7,
        frameon=False,
        handletextpad=0.1,
        columnspacing=0.8,
    )


def _said(sweep: Sweep) -> str:
    """How to read the predictions."""
    predicted = (sweep.occupied & ~sweep.visible)[:, None] & sweep.rebuilt_ok
    most = int(predicted.sum(dim=1).max()) if len(predicted) else 0
    share = stamp_share(sweep)
    if not most or share is None:
        return ""
    return (
        f"{most} points are predicted in every hidden voxel, however many there are. Their pattern "
        f"is to {100 * share:.0f} % the same in all voxels (100 %: one stamp for all)."
    )


def _squares(axes: "Axes", centers: np.ndarray, frame: Frame, color: str) -> None:
    """The outlines of voxels from above."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array(frame.voxel_size_m[:2]) / 2
    squares = list(centers[:, None, :2] + corners)
    axes.add_collection(PolyCollection(squares, facecolors=color))


def _enlarge(axes: "Axes", middle: np.ndarray, frame: Frame) -> None:
    """A few voxels around `middle`, with the lines between voxels."""
    for axis, draw in enumerate((axes.axvline, axes.axhline)):
        size, (low, high) = frame.voxel_size_m[axis], frame.range_m[axis]
        half = min(_ENLARGED_VOXELS * size, high - low) / 2
        start = np.clip(middle[axis] - half, low, high - 2 * half)
        for wall in np.arange(low, high + size / 2, size):
            draw(wall, color=_GREY, linewidth=0.5, zorder=0)
        (axes.set_xlim, axes.set_ylim)[axis](start, start + 2 * half)


def _fullest(parts: _Parts, frame: Frame) -> np.ndarray:
    """The hidden voxel around which most hidden points are, x and y; the middle where none is."""
    if not len(parts.hidden_centers):
        return np.array([(low + high) / 2 for low, high in frame.range_m[:2]])
    centers, points = parts.hidden_centers[:, :2], parts.hidden[:, :2]
    reach = np.array(frame.voxel_size_m[:2]) * _ENLARGED_VOXELS / 2
    near = (np.abs(points[None] - centers[:, None]) < reach).all(axis=2).sum(axis=1)
    return centers[near.argmax()]


def _turned(parts: _Parts) -> str:
    """The same to turn with the mouse, a colour for what was shown, hidden, predicted."""
    seen = Layer(name="visible", color=VISIBLE, points=parts.visible)
    hidden = Layer(name="hidden", color=HIDDEN, points=parts.hidden, size=0.7)
    predicted = Layer(name="predicted", color=PREDICTED, points=parts.predicted)
    return turning(
        [
            Scene(
                title="original",
                layers=(Layer(name="original", color=PLAIN, points=parts.original),),
            ),
            Scene(title="visible and hidden", layers=(seen, hidden)),
            Scene(title="reconstruction", layers=(seen, predicted)),
        ],
        what="a sweep of a lidar",
    )
