"""The curves of several runs, laid over one another, as SVG."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np

from omnimask.report.comparing.runs import ComparedRun
from omnimask.report.curves import thin_out

_COLUMNS, _MOST_POINTS = 3, 400
_COLOURS = (
    *("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f"),
    *("#1e293b", "#a16207"),
)
_OTHERS = ("grad_norm", "tokens_per_s")


def overlaid_curves(runs: Sequence[ComparedRun]) -> bytes:
    """One panel for each loss and probe that any run has logged; a group has one colour."""
    from matplotlib.figure import Figure

    keys = panel_keys(runs)
    groups = list(dict.fromkeys(run.group for run in runs))
    colours = {group: _COLOURS[i % len(_COLOURS)] for i, group in enumerate(groups)}
    rows = -(-len(keys) // _COLUMNS)
    figure = Figure(figsize=(13.5, 2.6 * rows + 0.3 + 0.2 * len(groups)), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for axes in panels[len(keys) :]:
        axes.set_axis_off()
    for axes, key in zip(panels, keys):
        for run in runs:
            present = [line for line in run.lines if line.get(key) is not None]
            steps = np.asarray([line["step"] for line in present], dtype=float)
            values = np.asarray([line[key] for line in present], dtype=float)
            axes.plot(
                thin_out(steps, _MOST_POINTS),
                thin_out(values, _MOST_POINTS),
                color=colours[run.group],
                lw=1.3,
                alpha=0.85,
                marker="." if len(steps) < 20 else "",
                label=run.group,
            )
        axes.set_title(key, fontsize=9, loc="left")
        axes.tick_params(labelsize=7.5)
        axes.grid(alpha=0.25, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(left=0)
    handles = {
        label: handle for handle, label in zip(*panels[0].get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper left", fontsize=8, frameon=False
    )
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def panel_keys(runs: Sequence[ComparedRun]) -> list[str]:
    """The total loss, that of each objective, probes in training, and how the run went."""
    every = dict.fromkeys(key for run in runs for line in run.lines for key in line)
    chosen = [key for key in every if key == "loss" or key.startswith(("loss/", "probe/"))]
    return [*chosen, *(key for key in _OTHERS if key in every)]
