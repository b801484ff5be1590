"""A map of all vectors: near on it is near in the encoder's space."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from omnimask.errors import DataError, RecipeError
from omnimask.report.html import Html, element, joined, paragraphs, styled
from omnimask.report.style import CSS
from omnimask.searching.features import VectorTable, name_of
from omnimask.searching.neighbours import whitened

_MOST_LABELS = 30  # in the legend; the rarer ones share a colour
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
_SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "star", "x", "pentagon")


@dataclass(frozen=True, kw_only=True, slots=True)
class MapOptions:
    """`whiten`: first, over all modalities together (see `omnimask.knn_probe.whiten`). `most`: of
    more vectors an even selection is shown. `perplexity`: about how many neighbours count.
    """

    whiten: bool = True
    most: int = 5000
    perplexity: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.most < 4 or self.perplexity <= 0:
            raise RecipeError(
                f"a map takes most >= 4 and perplexity > 0, got {self.most} and {self.perplexity}"
            )


def write_map(table: VectorTable, out: Path | str, options: MapOptions | None = None) -> Path:
    """An HTML file that opens without a network; returns its path.

    DataError for fewer than four vectors.
    """
    options, out = options or MapOptions(), Path(out)
    places = chosen(table, options.most)
    page = map_page(table, places, map_places(table, places, options), options)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return out


def chosen(table: VectorTable, most: int) -> list[int]:
    """Rows of the table, evenly spread over it; DataError for fewer than four."""
    if len(table) < 4:
        raise DataError(f"a map takes at least four vectors, got {len(table)}; embed more files")
    count = min(most, len(table))
    return np.linspace(0, len(table) - 1, count).round().astype(int).tolist()


def map_places(
    table: VectorTable, places: Sequence[int], options: MapOptions
) -> Float32[np.ndarray, "n 2"]:
    """t-SNE (https://jmlr.org/papers/v9/vandermaaten08a.html) by cosine distance."""
    from sklearn.manifold import TSNE

    vectors = whitened(table.vectors, table.vectors) if options.whiten else table.vectors
    perplexity = min(options.perplexity, (len(places) - 1) / 3)
    tsne = TSNE(
        metric="cosine", init="random", perplexity=perplexity, random_state=options.seed, n_jobs=1
    )
    return tsne.fit_transform(vectors[list(places)]).astype(np.float32)


def map_page(
    table: VectorTable,
    places: Sequence[int],
    xy: Float32[np.ndarray, "n 2"],
    options: MapOptions,
) -> str:
    """The whole page, with plotly.js inside."""
    from plotly.offline import get_plotlyjs

    made = table.made
    how = "whitened" if options.whiten else "the"
    shown = f"{len(places):,} of {len(table):,}" if len(places) < len(table) else f"{len(table):,}"
    notes = [
        f"t-SNE of {how} vectors by cosine distance, seed {options.seed}: which samples are near "
        "tells something, distances between groups and their sizes do not.",
        "Point at a sample for its path; click an entry of the legend to hide it.",
    ]
    modalities, labels = table.modalities, table.labels
    named = [f"{modalities[p]}: {labels[p]}" if labels[p] else modalities[p] for p in places]
    head = element(
        "head",
        element("meta", attributes={"charset": "utf-8"}),
        element("title", f"{made.encoder}: map"),
        element("style", Html(CSS)),
        element("script", Html(get_plotlyjs())),
    )
    by_modality = [modalities[p] for p in places]
    body = element(
        "main",
        element(
            "header",
            element("h1", f"{made.encoder}: map"),
            element("p", f"{shown} vectors, model {made.model}, pooling {made.pooling}"),
        ),
        _section("By modality", "modality", table, places, xy, by_modality),
        _section("By label or folder", "label", table, places, xy, _common(named)),
        element("section", element("h2", "How to read it"), paragraphs(notes)),
    )
    return f"<!doctype html>\n{element('html', head, element('body', body))}\n"


def _common(names: Sequence[str]) -> list[str]:
    """Names that are not among the most frequent become "other"."""
    found, counts = np.unique(np.asarray(names), return_counts=True)
    kept = {str(found[i]) for i in np.argsort(-counts, kind="stable")[:_MOST_LABELS]}
    return [name if name in kept else "other" for name in names]


def _section(
    title: str,
    anchor: str,
    table: VectorTable,
    places: Sequence[int],
    xy: Float32[np.ndarray, "n 2"],
    groups: Sequence[str],
) -> Html:
    kinds = sorted(set(table.modalities))
    traces = []
    for number, group in enumerate(sorted(set(groups))):
        rows = [i for i, name in enumerate(groups) if name == group]
        symbols = [_SYMBOLS[kinds.index(table.modalities[places[i]]) % len(_SYMBOLS)] for i in rows]
        traces.append(
            {
                "type": "scattergl",
                "mode": "markers",
                "name": group,
                "x": [round(float(xy[i, 0]), 3) for i in rows],
                "y": [round(float(xy[i, 1]), 3) for i in rows],
                "text": [_hover(table, places[i]) for i in rows],
                "hoverinfo": "text",
                "marker": {
                    "size": 6,
                    "opacity": 0.8,
                    "symbol": symbols,
                    "color": "#cbd5e1" if group == "other" else _COLORS[number % len(_COLORS)],
                },
            }
        )
    hidden = {"visible": False}
    layout = {
        "height": 640,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "xaxis": hidden,
        "yaxis": {**hidden, "scaleanchor": "x"},
        "hovermode": "closest",
        "legend": {"itemsizing": "constant"},
    }
    # "<" in a path must not end the script.
    data = json.dumps([traces, layout]).replace("<", "\\u003c")
    script = (
        f"{{const [data, layout] = {data};"
        f'Plotly.newPlot("map-{anchor}", data, layout, {{responsive: true}});}}'
    )
    return element(
        "section",
        element("h2", title),
        joined(
            element("div", attributes={"id": f"map-{anchor}", "class": "map"}),
            element("script", Html(script)),
        ),
        styled("p", "note", "The shape of a mark is its modality."),
        attributes={"id": anchor},
    )


def _hover(table: VectorTable, place: int) -> str:
    """Plotly takes this text for HTML."""
    from html import escape

    lines = [name_of(table.keys[place]), table.modalities[place], table.labels[place] or ""]
    return "<br>".join(escape(line) for line in lines if line)
