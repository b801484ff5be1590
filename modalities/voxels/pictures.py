"""A sweep from above: as it is, as the encoder saw it, and reconstructed; and in 3D to turn."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from omnimask.modality import Drawing
from omnimask.tokens import Raw

if TYPE_CHECKING:
    from modalities.voxels.modality import VoxelGrid

_COLORS = "viridis"
_HIDDEN = "#c8c8c8"
_MAX_HTML_POINTS = 1500  # per scene: larger ones make reports heavy and turn slowly


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scene:
    title: str
    points: Float[np.ndarray, "p 3"]
    hidden: Float[np.ndarray, "h 3"]  # middles of occupied voxels that were not shown


def draw_voxels(
    *,
    original: Raw,
    filled: Raw,
    shown: Bool[Tensor, " n"],
    index: int,
    grid: "VoxelGrid",
) -> Drawing:
    """Three panels of one sample; `original` and `filled` are in the raw form of the modality."""
    occupied, asked = _row(original, "occupied", index), _row(original, "asked", index)
    centers = grid.centers(_row(original, "cell", index))
    seen = shown.cpu()
    nothing = np.zeros((0, 3))
    scenes = [
        _Scene(title="original", points=_points(original, index, occupied), hidden=nothing),
        _Scene(
            title=f"visible ({int(seen.sum())} of {int(occupied.sum())} voxels)",
            points=_points(original, index, seen),
            hidden=centers[occupied & ~seen].numpy(),
        ),
        _Scene(title="reconstruction", points=_points(filled, index, asked), hidden=nothing),
    ]
    return Drawing(figure=_figure(scenes, grid), html=_html(scenes, grid), needs_plotly=True)


def _row(raw: Raw, name: str, index: int) -> Tensor:
    value = raw[name]
    assert isinstance(value, Tensor)
    return value[index].detach().cpu()


def _points(raw: Raw, index: int, voxels: Tensor) -> np.ndarray:
    """The real points of the voxels in which `voxels` is True."""
    ok = _row(raw, "point_ok", index) & voxels[:, None]
    return _row(raw, "points", index)[ok].float().numpy()


def _heights(scenes: list[_Scene]) -> tuple[float, float]:
    """What the colours span: all but the extreme heights of the original."""
    low, high = np.percentile(scenes[0].points[:, 2], [2, 99])
    return float(low), float(max(high, low + 1e-3))


def _figure(scenes: list[_Scene], grid: "VoxelGrid") -> Figure:
    figure = Figure(figsize=(9, 3.3), layout="constrained")
    panels = figure.subplots(1, len(scenes), sharex=True, sharey=True)
    low, high = _heights(scenes)
    heights = ScalarMappable(Normalize(low, high), cmap=_COLORS)
    for axes, scene in zip(panels, scenes, strict=True):
        axes.add_collection(PolyCollection(_squares(scene.hidden, grid), facecolors=_HIDDEN))
        x, y, z = scene.points.T
        axes.scatter(x, y, s=2.5, c=z, cmap=_COLORS, norm=heights.norm, linewidths=0)
        axes.plot(0, 0, marker="+", color="black", markersize=6)  # the sensor
        axes.set_title(scene.title, fontsize=10)
        axes.set(xlim=grid.range_m[0], ylim=grid.range_m[1], aspect="equal")
        axes.tick_params(labelsize=7)
        axes.set_xlabel("x / m", fontsize=8)
    panels[0].set_ylabel("y / m", fontsize=8)
    bar = figure.colorbar(heights, ax=list(panels), shrink=0.8, aspect=25, pad=0.01)
    bar.set_label("height / m", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def _squares(centers: np.ndarray, grid: "VoxelGrid") -> list[np.ndarray]:
    """The outlines of voxels from above, (4 corners, x y) each."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array(grid.voxel_size_m[:2]) / 2
    return list(centers[:, None, :2] + corners)


def _html(scenes: list[_Scene], grid: "VoxelGrid") -> str:
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
        {"visible": False, "range": [float(low), float(high)]} for low, high in grid.range_m
    )
    figure.update_scenes(aspectmode="data", xaxis=x_axis, yaxis=y_axis, zaxis=z_axis)
    figure.update_layout(height=340, showlegend=False, margin={"l": 0, "r": 0, "t": 30, "b": 0})
    return to_html(figure, include_plotlyjs=False, full_html=False)


def _thinned(points: np.ndarray) -> np.ndarray:
    """Evenly thinned, with three decimals in 32 bits, which plotly writes as short base64."""
    if len(points) > _MAX_HTML_POINTS:
        points = points[np.linspace(0, len(points) - 1, _MAX_HTML_POINTS).astype(int)]
    return points.astype(np.float32).round(3)
