"""docs/benchmarks.md: the table and the plot of what `tools/bench.py` has stored."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.results_table import write_between

_COLUMNS = (
    *("case", "precision", "mode", "samples", "system", "step, ms", "time over ours"),
    *("FLOP/s", "of a product", "peak MB"),
)


def write_page(rows: Sequence[dict[str, Any]], page: Path) -> None:
    """Puts the table between the page's marks, and a plot `<page>.png` beside it."""
    picture = page.with_suffix(".png")
    draw(rows, picture)
    write_between(page, f"![Time of a step over ours]({picture.name})\n\n{table(rows)}", rows)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown; a line for each system of each case."""
    lines = [f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
    for row in rows:
        for name, found in row["systems"].items():
            cells = [
                *(row["case"], row["precision"], row["mode"], str(row["samples"]), name),
                f"{found['seconds'] * 1000:.0f}",
                _spread(found["time_over_ours"]) if name != "omnimask" else "1",
                f"{found['flops_per_s'] / 1e9:.3g} G",
                f"{found['flops_per_s'] / row['matrix_flops_per_s']:.0%}",
                str(found.get("peak_mb", "")),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(found: dict[str, float]) -> str:
    return f"{found['ratio']:.2f} ({found['from']:.2f} – {found['to']:.2f})"


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Bars of the times over ours, with the rounds' range; beyond the line at 1, ours is faster."""
    from matplotlib.figure import Figure

    bars = [
        (f"{row['case']}, {row['precision']}, {row['mode']}: {name}", found["time_over_ours"])
        for row in rows
        for name, found in row["systems"].items()
        if name != "omnimask"
    ]
    figure = Figure(figsize=(8, 1 + 0.25 * len(bars)), layout="constrained")
    axes = figure.subplots()
    for place, (_, found) in enumerate(bars):
        axes.barh(place, found["ratio"], color="tab:blue")
        axes.plot([found["from"], found["to"]], [place, place], color="black")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("time of a step over ours: median, smallest and largest of the rounds")
    figure.savefig(path, dpi=110)
