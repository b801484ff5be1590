"""Vectors as points of a plane, coloured by groups: as a plotly scene or as a picture."""

import html
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from omnimask.report.html import Html, element, joined, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_GROUPS = 70  # in a legend; the rarer ones share a colour
_OTHER, _OTHER_COLOR = "other", "#cbd5e1"
_COLORS = (
    "#2563eb",
    "#f59e0b",
    "#10b981",
    "#ef4444",
    "#8b5cf6",
    "#0891b2",
    "#db2777",
    "#65a30d",
    "#475569",
    "#ea580c",
    "#14b8a6",
    "#a16207",
    "#4338ca",
    "#be123c",
    "#15803d",
)
# A kind's mark for plotly, and the same for matplotlib.
_MARKS = (
    ("circle", "o"),
    ("square", "s"),
    ("diamond", "D"),
    ("cross", "P"),
    ("triangle-up", "^"),
    ("star", "*"),
    ("x", "X"),
    ("pentagon", "p"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """What is drawn: `kinds` have a mark each (modalities), `labels` are None where there is none,
    `names` are shown where a reader points. `xy` are the places, without unit.
    """

    xy: Float32[np.ndarray, "n 2"]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    labels: tuple[str | None, ...]

    def by_label(self) -> list[str]:
        """Group names "kind: label"; of every kind the most frequent ones, the rest are "other"."""
        pairs = zip(self.kinds, self.labels, strict=True)
        names = [f"{kind}: {label}" if label else kind for kind, label in pairs]
        counts = Counter(zip(self.kinds, names, strict=True))
        ranks = Counter[str]()  # how many groups of a kind came before
        ranked = []
        for (kind, name), _ in counts.most_common():
            ranked.append((ranks[kind], kind, name))
            ranks[kind] += 1
        kept = {name for _, _, name in sorted(ranked)[:_MOST_GROUPS]}
        return [name if name in kept else _OTHER for name in names]


def tsne_places(
    vectors: Float32[np.ndarray, "n d"], *, perplexity: float = 30.0, seed: int = 0
) -> Float32[np.ndarray, "n 2"]:
    """t-SNE (https://jmlr.org/papers/v9/vandermaaten08a.html) by cosine distance, n >= 4.

    `perplexity` is about how many neighbours count; it is lowered where there are few vectors.
    """
    from sklearn.manifold import TSNE

    perplexity = min(perplexity, (len(vectors) - 1) / 3)
    tsne = TSNE(metric="cosine", init="random", perplexity=perplexity, random_state=seed, n_jobs=1)
    return tsne.fit_transform(vectors).astype(np.float32)


def scene(points: Points, groups: Sequence[str], anchor: str) -> Html:
    """A plotly scene, a colour for each group; needs plotly.js in the page before it."""
    traces = []
    for group, color in _colors(groups).items():
        rows = [i for i, name in enumerate(groups) if name == group]
        traces.append(
            {
                "type": "scattergl",
                "mode": "markers",
                "name": html.escape(group),
                "x": [round(float(points.xy[i, 0]), 3) for i in rows],
                "y": [round(float(points.xy[i, 1]), 3) for i in rows],
                "text": [_hover(points, i) for i in rows],
                "hoverinfo": "text",
                "marker": {
                    "size": 6,
                    "opacity": 0.8,
                    "symbol": [_mark(points, i)[0] for i in rows],
                    "color": color,
                },
            }
        )
    # "<" in a path must not end the script.
    data = json.dumps([traces, _layout()]).replace("<", "\\u003c")
    script = (
        f"{{const [data, layout] = {data};"
        f'Plotly.newPlot("map-{anchor}", data, layout, {{responsive: true, displaylogo: false}});}}'
    )
    return joined(
        element("div", attributes={"id": f"map-{anchor}", "class": "map"}),
        element("script", Html(script)),
        styled("p", "note", "The shape of a mark is its modality."),
    )


def draw_points(axes: "Axes", points: Points, groups: Sequence[str]) -> None:
    """The same as a picture, with its legend on the right."""
    for group, color in _colors(groups).items():
        rows = [i for i, name in enumerate(groups) if name == group]
        for kind in sorted({points.kinds[i] for i in rows}):
            chosen = [i for i in rows if points.kinds[i] == kind]
            axes.scatter(
                points.xy[chosen, 0],
                points.xy[chosen, 1],
                s=16,
                alpha=0.8,
                linewidths=0,
                marker=_mark(points, chosen[0])[1],
                color=color,
                label=group if kind == points.kinds[rows[0]] else None,
            )
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_anchor("W")
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=8,
        ncols=2 if len(set(groups)) > _MOST_GROUPS // 2 else 1,
    )


def _layout() -> dict[str, Any]:
    hidden = {"visible": False}
    return {
        "height": 660,
        # The buttons of plotly stand in the upper margin, so that they cover no part of the legend.
        "margin": {"l": 8, "r": 8, "t": 36, "b": 8},
        "xaxis": hidden,
        "yaxis": {**hidden, "scaleanchor": "x"},
        "hovermode": "closest",
        "legend": {"itemsizing": "constant"},
    }


def _colors(groups: Sequence[str]) -> dict[str, str]:
    """By group, in order; colours begin anew with every kind, which has a mark of its own.

    Beside groups "kind: label", those of samples without a label are grey.
    """
    names = sorted(set(groups))
    labelled = [name for name in names if ": " in name]
    used = Counter[str]()
    found = {}
    for name in names:
        kind = name.partition(": ")[0] if labelled else ""
        found[name] = _COLORS[used[kind] % len(_COLORS)]
        if name == _OTHER or (labelled and name not in labelled):
            found[name] = _OTHER_COLOR
        else:
            used[kind] += 1
    return found


def _mark(points: Points, row: int) -> tuple[str, str]:
    return _MARKS[sorted(set(points.kinds)).index(points.kinds[row]) % len(_MARKS)]


def _hover(points: Points, row: int) -> str:
    """Plotly takes this text for HTML."""
    lines = [points.names[row], points.kinds[row], points.labels[row] or ""]
    return "<br>".join(html.escape(line) for line in lines if line)
