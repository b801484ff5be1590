"""A cloud, what the encoder saw of it, and its reconstruction, coloured by height."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, hsv_to_rgb, to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from torch import Tensor

from omnimask.tokens.modality import Drawing

_COLORS = "viridis"
_HIDDEN = "#c8c8c8"
# Turned by 30 degrees about z, then seen from 20 degrees above.
_VIEW = np.array([[0.866, -0.5, 0.0], [0.5, 0.866, 0.0], [0.0, 0.0, 1.0]]) @ np.array(
    [[1.0, 0.0, 0.0], [0.0, 0.94, 0.342], [0.0, -0.342, 0.94]]
)
_MAX_HTML_POINTS = 1500  # per scene: larger ones make reports heavy and turn slowly


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scene:
    title: str
    points: Float[np.ndarray, "p 3"]
    hidden: Float[np.ndarray, "h 3"]  # where something was and was not shown, in grey


def draw_groups(
    *,
    cloud: Float[Tensor, "p 3"],
    original: Float[Tensor, "n k 3"],
    filled: Float[Tensor, "n k 3"],
    visible: Bool[Tensor, " n"],
    valid: Bool[Tensor, " n"],
) -> Drawing:
    """Three panels from absolute points; groups that are not `valid` are left out."""
    nothing = np.zeros((0, 3))
    scenes = [
        _Scene(title="original", points=_array(cloud), hidden=nothing),
        _Scene(
            title=f"visible ({int(visible.sum())} of {int(valid.sum())} groups)",
            points=_array(original[visible]),
            hidden=_array(original[valid & ~visible]),
        ),
        _Scene(title="reconstruction", points=_array(filled[valid]), hidden=nothing),
    ]
    corners = np.concatenate([scenes[0].points, _array(original[valid])])
    return Drawing(figure=_figure(scenes, corners), html=_html(scenes, corners), needs_plotly=True)


def show_parts(
    axes: Axes, xyz: Float[Tensor, "p 3"], parts: Int64[Tensor, " p"] | None, *, num_parts: int
) -> None:
    """A cloud seen from the front and above; each part in its own colour, unknown ones grey, or
    all by height."""
    points = xyz.numpy() @ _VIEW
    depth = points[:, 1].argsort()[::-1]
    if parts is None:
        colors = colormaps[_COLORS](Normalize()(points[:, 2]))
    else:
        hues = (
            np.arange(num_parts) * 0.381966 % 1,
            np.full(num_parts, 0.7),
            np.full(num_parts, 0.85),
        )
        of_parts = np.concatenate([hsv_to_rgb(np.stack(hues, axis=1)), [to_rgb(_HIDDEN)]])
        colors = of_parts[parts.numpy()]  # -1 is the last, grey
    axes.scatter(points[depth, 0], points[depth, 2], s=2, c=colors[depth], linewidths=0)
    axes.set_aspect("equal")


def _array(points: Tensor) -> np.ndarray:
    return points.reshape(-1, 3).detach().float().cpu().numpy()


def _figure(scenes: list[_Scene], corners: np.ndarray) -> Figure:
    figure = Figure(figsize=(9, 3.1), layout=None)
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle = (low + high) / 2
    # Limits tighter than the cloud enlarge it; nothing is clipped at them.
    half = 0.31 * max(float(np.linalg.norm(high - low)), 1e-3)
    for column, scene in enumerate(scenes):
        axes = Axes3D(figure, (column / 3, -0.04, 1 / 3, 0.98), computed_zorder=False)
        figure.add_axes(axes)
        axes.scatter(*scene.hidden.T, s=2, c=_HIDDEN, linewidths=0, depthshade=False, alpha=0.5)
        axes.scatter(
            *scene.points.T,
            s=5,
            c=scene.points[:, 2],
            cmap=_COLORS,
            vmin=low[2],
            vmax=high[2],
            linewidths=0,
            depthshade=False,
        )
        for axis, center in zip("xyz", middle, strict=True):
            getattr(axes, f"set_{axis}lim")(center - half, center + half)
        axes.set_box_aspect((1, 1, 1))
        axes.view_init(elev=22, azim=-55)
        axes.set_axis_off()
        figure.text((column + 0.5) / 3, 0.94, scene.title, ha="center", va="center", fontsize=10)
    return figure


def _html(scenes: list[_Scene], corners: np.ndarray) -> str:
    """The same three scenes to turn with the mouse, as a `div` without plotly.js."""
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
    low, high = corners.min(axis=0), corners.max(axis=0)
    for column, scene in enumerate(scenes, start=1):
        for points, is_hidden in ((scene.hidden, True), (scene.points, False)):
            x, y, z = _thinned(points).T
            marker = (
                {"size": 2, "color": _HIDDEN}
                if is_hidden
                else {
                    "size": 2,
                    "color": z,
                    "colorscale": _COLORS,
                    "cmin": float(low[2]),
                    "cmax": float(high[2]),
                }
            )
            figure.add_trace(
                go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, hoverinfo="skip"),
                row=1,
                col=column,
            )
    x_axis, y_axis, z_axis = (
        {"visible": False, "range": [float(low[i]), float(high[i])]} for i in range(3)
    )
    figure.update_scenes(aspectmode="data", xaxis=x_axis, yaxis=y_axis, zaxis=z_axis)
    figure.update_layout(height=340, showlegend=False, margin={"l": 0, "r": 0, "t": 30, "b": 0})
    return to_html(figure, include_plotlyjs=False, full_html=False)


def _thinned(points: np.ndarray) -> np.ndarray:
    """Evenly thinned, with three decimals in 32 bits, which plotly writes as short base64."""
    if len(points) > _MAX_HTML_POINTS:
        points = points[np.linspace(0, len(points) - 1, _MAX_HTML_POINTS).astype(int)]
    return points.astype(np.float32).round(3)
