"""A cloud, what the encoder saw of it, and its reconstruction, coloured by height."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, hsv_to_rgb, to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from torch import Tensor

from omnimask.report.painting import easels
from omnimask.report.turning import HIDDEN, PLAIN, PREDICTED, VISIBLE, Layer, Scene, turning
from omnimask.tokens.modality import Drawing

_COLORS = "viridis"
_GREY = "#c8c8c8"
# Turned by 30 degrees about z, then seen from 20 degrees above.
_VIEW = np.array([[0.866, -0.5, 0.0], [0.5, 0.866, 0.0], [0.0, 0.0, 1.0]]) @ np.array(
    [[1.0, 0.0, 0.0], [0.0, 0.94, 0.342], [0.0, -0.342, 0.94]]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Panel:
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
    panels = [
        _Panel(title="original", points=_array(cloud), hidden=nothing),
        _Panel(
            title=f"visible ({int(visible.sum())} of {int(valid.sum())} groups)",
            points=_array(original[visible]),
            hidden=_array(original[valid & ~visible]),
        ),
        _Panel(title="reconstruction", points=_array(filled[valid]), hidden=nothing),
    ]
    corners = np.concatenate([panels[0].points, _array(original[valid])])
    parts = (part[valid].detach().cpu().numpy() for part in (original, filled.float(), visible))
    return Drawing(figure=_figure(panels, corners), html=_turned(panels[0].points, *parts))


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
        of_parts = np.concatenate([hsv_to_rgb(np.stack(hues, axis=1)), [to_rgb(_GREY)]])
        colors = of_parts[parts.numpy()]  # -1 is the last, grey
    axes.scatter(points[depth, 0], points[depth, 2], s=2, c=colors[depth], linewidths=0)
    axes.set_aspect("equal")


def paint_groups(
    cloud: Float[Tensor, "p 3"],
    groups: Float[Tensor, "n g 3"],
    colors: Float[Tensor, "k n 3"],
    titles: Sequence[str],
) -> Figure:
    """The cloud from the front and above, by height; then the groups' points in their colours."""
    figure, panels = easels(titles)
    show_parts(panels[0][0], cloud.float(), None, num_parts=1)
    points = _array(groups) @ _VIEW
    depth = points[:, 1].argsort()[::-1]
    for (axes,), paint in zip(panels[1:], colors, strict=True):
        of_points = paint.repeat_interleave(groups.shape[1], dim=0).numpy()
        axes.scatter(points[depth, 0], points[depth, 2], s=5, c=of_points[depth], linewidths=0)
        axes.set_aspect("equal")
    return figure


def _array(points: Tensor) -> np.ndarray:
    return points.reshape(-1, 3).detach().float().cpu().numpy()


def _figure(panels: list[_Panel], corners: np.ndarray) -> Figure:
    figure = Figure(figsize=(9, 3.1), layout=None)
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle = (low + high) / 2
    # Limits tighter than the cloud enlarge it; nothing is clipped at them.
    half = 0.31 * max(float(np.linalg.norm(high - low)), 1e-3)
    for column, panel in enumerate(panels):
        axes = Axes3D(figure, (column / 3, -0.04, 1 / 3, 0.98), computed_zorder=False)
        figure.add_axes(axes)
        axes.scatter(*panel.hidden.T, s=2, c=_GREY, linewidths=0, depthshade=False, alpha=0.5)
        axes.scatter(
            *panel.points.T,
            s=5,
            c=panel.points[:, 2],
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
        figure.text((column + 0.5) / 3, 0.94, panel.title, ha="center", va="center", fontsize=10)
    return figure


def _turned(
    cloud: np.ndarray, original: np.ndarray, filled: np.ndarray, visible: np.ndarray
) -> str:
    """The same three to turn with the mouse, a colour for what was shown, hidden, predicted.

    `original` and `filled` are groups of points (n k 3), of which those `visible` were shown.
    """
    shown, hidden, predicted = original[visible], original[~visible], filled[~visible]
    seen = Layer(name="visible", color=VISIBLE, points=shown.reshape(-1, 3))
    return turning(
        [
            Scene(
                title="original",
                layers=(Layer(name="original", color=PLAIN, points=cloud),),
            ),
            Scene(
                title="visible and hidden",
                layers=(
                    seen,
                    Layer(name="hidden", color=HIDDEN, points=hidden.reshape(-1, 3), size=0.7),
                ),
            ),
            Scene(
                title="reconstruction",
                layers=(
                    seen,
                    Layer(name="predicted", color=PREDICTED, points=predicted.reshape(-1, 3)),
                ),
            ),
        ],
        what="a cloud of points",
    )
