"""Loss curves and the run's own figures, as SVG."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from omnimask.report.html import Html, paragraphs, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE, _MODEL, _CONSTANT = "#2563eb", "#111827", "#9ca3af"
_MAX_POINTS = 500
_COLUMNS = 4

# Key in metrics.jsonl, title, factor.
_RUN_PANELS = (
    ("lr", "learning rate", 1.0),
    ("grad_norm", "gradient norm", 1.0),
    ("tokens_per_s", "tokens per second", 1.0),
    ("data_wait", "waiting for data (% of time)", 100.0),
)


def training_curves(
    lines: Sequence[Mapping[str, Any]],
    titles: Mapping[str, str],
    held_out: Mapping[str, tuple[float, float | None]],
) -> list[Html]:
    """`loss_curves` and `run_curves` for a page."""
    if not lines:
        return [paragraphs(["metrics.jsonl has no line yet."])]
    losses = loss_curves(lines, titles, held_out)
    return [
        picture(losses, media_type="image/svg+xml", alt="loss of every objective by step"),
        picture(
            run_curves(lines), media_type="image/svg+xml", alt="learning rate and speed by step"
        ),
    ]


def loss_curves(
    lines: Sequence[Mapping[str, Any]],
    titles: Mapping[str, str],
    held_out: Mapping[str, tuple[float, float | None]],
) -> bytes:
    """One panel per objective (`titles` by name); `held_out` has the model's and the constant's
    loss, drawn as a dot at the end and as a dashed line.
    """
    rows = -(-len(titles) // _COLUMNS)
    figure = _figure(rows)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for axes in panels[len(titles) :]:
        axes.set_axis_off()
    for axes, (name, title) in zip(panels, titles.items()):
        _draw_line(axes, lines, f"loss/{name}", title, 1.0)
        if name in held_out and lines:
            model, constant = held_out[name]
            axes.plot(
                lines[-1]["step"], model, "o", color=_MODEL, ms=5, label="held out, at the end"
            )
            if constant is not None:
                axes.axhline(
                    constant, color=_CONSTANT, ls="--", lw=1.2, label="best constant, held out"
                )
    if held_out:
        handles = {
            label: handle
            for axes in panels
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside upper right",
            ncols=3,
            fontsize=8,
            frameon=False,
        )
    return _svg(figure)


def run_curves(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """Learning rate, gradient norm, speed and the share of time spent waiting for data."""
    figure = _figure(1, height=2.1)
    for axes, (key, title, factor) in zip(figure.subplots(1, len(_RUN_PANELS)), _RUN_PANELS):
        _draw_line(axes, lines, key, title, factor)
        axes.set_ylim(bottom=0)
    return _svg(figure)


def thin_out(values: np.ndarray, count: int) -> np.ndarray:
    """Means of at most `count` equal stretches."""
    if len(values) <= count:
        return values
    return np.asarray([part.mean() for part in np.array_split(values, count)])


def _figure(rows: int, height: float = 2.3) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(13.5, rows * height + 0.2), layout="constrained")


def _draw_line(
    axes: "Axes", lines: Sequence[Mapping[str, Any]], key: str, title: str, factor: float
) -> None:
    present = [line for line in lines if line.get(key) is not None]
    steps = np.asarray([line["step"] for line in present], dtype=float)
    values = np.asarray([line[key] for line in present], dtype=float) * factor
    # A line through one point shows nothing, so a short run has dots.
    marker = "." if len(steps) < 20 else ""
    axes.plot(
        thin_out(steps, _MAX_POINTS),
        thin_out(values, _MAX_POINTS),
        color=_LINE,
        lw=1.4,
        marker=marker,
        label="training" if key.startswith("loss/") else "",
    )
    axes.set_title(title, fontsize=9, loc="left", color="#111827")
    axes.tick_params(labelsize=7.5, colors="#4b5563")
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9ca3af")
    axes.set_xlim(left=0)


def _svg(figure: "Figure") -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
