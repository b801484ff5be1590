"""A sweep from above: as it is, as the encoder saw it, and reconstructed; and in 3D to turn."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from omnimask.tokens.modality import Drawing

_COLORS = "viridis"
_HIDDEN = "#c8c8c8"
_MAX_HTML_POINTS = 1500  # per scene: larger ones make reports heavy and turn slowly


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
class _Scene:
    title: str
    points: Float[np.ndarray, "p 3"]
    hidden: Float[np.ndarray, "h 3"]  # middles of occupied voxels that were not shown


def draw_voxels(sweep: Sweep, frame: Frame) -> Drawing:
    """Three panels, and the same in 3D."""
    nothing = np.zeros((0, 3))
    hidden = sweep.occupied & ~sweep.visible
    scenes = [
        _Scene(
            title="original",
            points=_points(sweep.points, sweep.ok, sweep.occupied),
            hidden=nothing,
        ),
        _Scene(
            title=f"visible ({int(sweep.visible.sum())} of {int(sweep.occupied.sum())} voxels)",
            points=_points(sweep.points, sweep.ok, sweep.visible),
            hidden=sweep.centers[hidden].detach().cpu().numpy(),
        ),
        _Scene(
            title="reconstruction",
            points=_points(sweep.rebuilt, sweep.rebuilt_ok, sweep.scorable),
            hidden=nothing,
        ),
    ]
    return Drawing(figure=_figure(scenes, frame), html=_html(scenes, frame), needs_plotly=True)


def _points(
    points: Float[Tensor, "n k 3"], ok: Bool[Tensor, "n k"], voxels: Bool[Tensor, " n"]
) -> np.ndarray:
    """The real points of the voxels in which `voxels` is True."""
    return points[ok & voxels[:, None]].detach().float().cpu().numpy()


def _heights(scenes: list[_Scene]) -> tuple[float, float]:
    """What the colours span: all but the extreme heights of the original."""
    low, high = np.percentile(scenes[0].points[:, 2], [2, 99])
    return float(low), float(max(high, low + 1e-3))


def _figure(scenes: list[_Scene], frame: Frame) -> Figure:
    figure = Figure(figsize=(9, 3.3), layout="constrained")
    panels = figure.subplots(1, len(scenes), sharex=True, sharey=True)
    low, high = _heights(scenes)
    heights = ScalarMappable(Normalize(low, high), cmap=_COLORS)
    for axes, scene in zip(panels, scenes, strict=True):
        axes.add_collection(PolyCollection(_squares(scene.hidden, frame), facecolors=_HIDDEN))
        x, y, z = scene.points.T
        axes.scatter(x, y, s=2.5, c=z, cmap=_COLORS, norm=heights.norm, linewidths=0)
        axes.plot(0, 0, marker="+", color="black", markersize=6)  # the sensor
        axes.set_title(scene.title, fontsize=10)
        axes.set(xlim=frame.range_m[0], ylim=frame.range_m[1], aspect="equal")
        axes.tick_params(labelsize=7)
        axes.set_xlabel("x / m", fontsize=8)
    panels[0].set_ylabel("y / m", fontsize=8)
    bar = figure.colorbar(heights, ax=list(panels), shrink=0.8, aspect=25, pad=0.01)
    bar.set_label("height / m", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def _squares(centers: np.ndarray, frame: Frame) -> list[np.ndarray]:
    """The outlines of voxels from above, (4 corners, x y) each."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array(frame.voxel_size_m[:2]) / 2
    return list(centers[:, None, :2] + corners)


def _html(scenes: list[_Scene], frame: Frame) -> str:
    """Three scenes to turn with the mouse, as a `div` without plotly.js."""
    import plotly.graph_objects as go
    from plotly.io import to_html
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=1,
        cols=len(scenes),
        specs=[[{"type": "scene"}] * len(scenes)],
        subplot_titles=[scene.title for scene in scenes],
        horizontal_spacing=0.01,
    )
    low, high = _heights(scenes)
    height = {"colorscale": _COLORS, "cmin": low, "cmax": high}
    for column, scene in enumerate(scenes, start=1):
        for points, is_hidden in ((scene.hidden, True), (scene.points, False)):
            x, y, z = _thinned(points).T
            color = {"color": _HIDDEN, "symbol": "square"} if is_hidden else {"color": z, **height}
            figure.add_trace(
                go.Scatter3d(
                    x=x, y=y, z=z, mode="markers", marker={"size": 2, **color}, hoverinfo="skip"
                ),
                row=1,
                col=column,
            )
    x_axis, y_axis, z_axis = (
        {"visible": False, "range": [float(low), float(high)]} for low, high in frame.range_m
    )
    figure.update_scenes(aspectmode="data", xaxis=x_axis, yaxis=y_axis, zaxis=z_axis)
    figure.update_layout(height=340, showlegend=False, margin={"l": 0, "r": 0, "t": 30, "b": 0})
    return to_html(figure, include_plotlyjs=False, full_html=False)


def _thinned(points: np.ndarray) -> np.ndarray:
    """Evenly thinned, with three decimals in 32 bits, which plotly writes as short base64."""
    if len(points) > _MAX_HTML_POINTS:
        points = points[np.linspace(0, len(points) - 1, _MAX_HTML_POINTS).astype(int)]
    return points.astype(np.float32).round(3)
