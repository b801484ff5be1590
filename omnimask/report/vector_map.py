"""A map of all vectors: near on it is near in the encoder's space."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from omnimask.foundation.errors import DataError, RecipeError
from omnimask.report.html import element, page, paragraphs, plotly_script, section
from omnimask.report.scatter import Points, draw_points, scene, tsne_places
from omnimask.transfer.probing.knn import whitened
from omnimask.transfer.searching.features import VectorTable

_PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, kw_only=True, slots=True)
class MapOptions:
    """`whiten`: first, over all modalities together (see `probing.knn.whiten`). `most`: of
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
    """An HTML file that opens without a network, or a picture (.png, .svg, .pdf); returns its path.

    DataError for fewer than four vectors, RecipeError for another kind of file.
    """
    options, out = options or MapOptions(), Path(out)
    if out.suffix.lower() not in (".html", *_PICTURES):
        raise RecipeError(
            f"a map is an .html file or a picture ({', '.join(_PICTURES)}), got {out.name}; "
            f"write {out.stem}.html"
        )
    places = chosen(table, options.most)
    points = points_of(table, places, map_places(table, places, options))
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() == ".html":
        out.write_text(map_page(table, points, options), encoding="utf-8")
    else:
        save_picture(points, out)
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
    """Where `tsne_places` puts them, whitened by all vectors of the table."""
    vectors = whitened(table.vectors, table.vectors) if options.whiten else table.vectors
    return tsne_places(vectors[list(places)], perplexity=options.perplexity, seed=options.seed)


def points_of(table: VectorTable, places: Sequence[int], xy: Float32[np.ndarray, "n 2"]) -> Points:
    """The chosen rows; a table's numbers are values to predict, and no classes to colour by."""
    names = table.names
    return Points(
        xy=xy,
        names=tuple(names[p] for p in places),
        kinds=tuple(table.modalities[p] for p in places),
        labels=tuple(_class_of(table, p) for p in places),
    )


def _class_of(table: VectorTable, place: int) -> str | None:
    label = table.labels[place]
    if label is None or table.keys[place].row is None:
        return label
    try:
        float(label)
    except ValueError:
        return label
    return None


def map_page(table: VectorTable, points: Points, options: MapOptions) -> str:
    """The whole page, with plotly.js inside."""
    made, count = table.made, len(points.names)
    how = "whitened" if options.whiten else "the"
    shown = f"{count:,} of {len(table):,}" if count < len(table) else f"{len(table):,}"
    notes = [
        f"t-SNE of {how} vectors by cosine distance, seed {options.seed}: which samples are near "
        "tells something, distances between groups and their sizes do not.",
        "Point at a sample for its path; click an entry of the legend to hide it.",
    ]
    return page(
        f"{made.encoder}: map",
        element(
            "header",
            element("h1", f"{made.encoder}: map"),
            element("p", f"{shown} vectors, model {made.model}, pooling {made.pooling}"),
        ),
        section("By modality", scene(points, points.kinds, "modality")),
        section("By label or folder", scene(points, points.by_label(), "label")),
        section("How to read it", paragraphs(notes)),
        scripts=plotly_script(),
    )


def save_picture(points: Points, out: Path) -> None:
    """Both colourings below one another, without names."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 11.5), layout="constrained")
    upper, lower = figure.subplots(2)
    for axes, title, groups in (
        (upper, "by modality", points.kinds),
        (lower, "by label or folder", points.by_label()),
    ):
        draw_points(axes, points, groups)
        axes.set_title(title, loc="left", fontsize=11)
    figure.savefig(out, dpi=110)
