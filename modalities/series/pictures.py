"""A series as three panels: lines of a few channels, or a heat map of many."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.report.painting import easels
from omnimask.tokens.modality import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HIDDEN = "#8c8c8c"
_MOST_LINES = 6


def draw_series(
    series: Float[Tensor, "t j c"],
    rebuilt: Float[Tensor, "t j c"],
    *,
    known: Bool[Tensor, "t j"],
    whole: Bool[Tensor, "t j"],
    visible: Bool[Tensor, "t j"],
    rate_hz: float | None,
) -> Drawing:
    """Original, visible part and reconstruction; `whole` are the steps in tokens without a gap,
    which alone are rebuilt. What is not known is white, what is hidden grey.
    """
    from matplotlib.figure import Figure

    length = int(known.any(dim=1).nonzero().max()) + 1 if known.any() else 1
    parts = {
        "original": _values(series, known, length),
        "visible": _values(series, visible & whole, length),
        "reconstruction": _values(rebuilt, whole, length),
    }
    hidden = (whole & ~visible)[:length].cpu().numpy()
    seconds = 1.0 if rate_hz is None else 1.0 / rate_hz
    few = parts["original"].shape[1] <= _MOST_LINES
    figure = Figure(figsize=(9, 2.4 if few else 3.0), layout="constrained")
    low, high = _limits(parts["original"])
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (title, values) in zip(panels, parts.items(), strict=True):
        gone = hidden if title == "visible" else np.zeros_like(hidden)
        draw = _lines if few else _heat
        draw(axes, values, gone, seconds)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step" if rate_hz is None else "time (s)", fontsize=8)
        axes.tick_params(labelsize=8)
        for picture in axes.images[:1]:
            picture.set_clim(low, high)
    if few:
        panels[0].set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    else:
        panels[0].set_ylabel("joint by joint", fontsize=8)
    return Drawing(figure=figure)


def paint_series(
    series: Float[Tensor, "t j c"],
    colors: Float[Tensor, "k gt j 3"],
    titles: Sequence[str],
    *,
    known: Bool[Tensor, "t j"],
) -> "Figure":
    """Channels of joints from above downwards, each by its own mean; gaps are white."""
    from matplotlib import colormaps

    figure, panels = easels(titles, aspect=0.8)
    values = _values(series, known, len(series))
    middle = np.nanmean(np.where(known.any(), values, 0.0), axis=0, keepdims=True)
    heat = colormaps["viridis"].with_extremes(bad="white")
    panels[0][0].imshow((values - middle).T, cmap=heat, aspect="auto", interpolation="nearest")
    panels[0][0].set_xlabel("time", fontsize=8)
    panels[0][0].set_ylabel("joint by joint", fontsize=8)
    for (axes,), cells in zip(panels[1:], colors, strict=True):
        axes.imshow(cells.transpose(0, 1).numpy(), aspect="auto", interpolation="nearest")
    return figure


def _values(
    series: Float[Tensor, "t j c"], shown: Bool[Tensor, "t j"], length: int
) -> Float[np.ndarray, "t k"]:
    """NaN where nothing is shown."""
    numbers = series.masked_fill(~shown[..., None], float("nan"))[:length]
    return numbers.flatten(1).float().cpu().numpy()


def _limits(values: Float[np.ndarray, "t k"]) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return low, max(high, low + 1e-6)


def _lines(axes: "Axes", values: np.ndarray, hidden: np.ndarray, seconds: float) -> None:
    times = (np.arange(len(values)) + 0.5) * seconds
    for channel in values.T:
        axes.plot(times, channel, linewidth=1.2, marker=".", markersize=2)
    for step in np.flatnonzero(hidden.all(axis=1)):
        axes.axvspan(step * seconds, (step + 1) * seconds, color=_HIDDEN, alpha=0.6, linewidth=0)
    axes.set_xlim(0, len(values) * seconds)


def _heat(axes: "Axes", values: np.ndarray, hidden: np.ndarray, seconds: float) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    per_joint = values.shape[1] // hidden.shape[1]
    extent = (0.0, len(values) * seconds, values.shape[1], 0.0)
    options = {"aspect": "auto", "interpolation": "nearest", "extent": extent}
    axes.imshow(values.T, cmap=colormaps["viridis"].with_extremes(bad="white"), **options)
    grey = np.where(hidden.repeat(per_joint, axis=1), 1.0, np.nan).T
    axes.imshow(grey, cmap=ListedColormap([_HIDDEN]), **options)
