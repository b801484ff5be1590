"""The map of held-out samples of all modalities of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from omnimask.data.samples import spread
from omnimask.report.html import Html, element, joined, paragraphs
from omnimask.report.scatter import Points, scene, tsne_places
from omnimask.tokens.modality import Label
from omnimask.transfer.probing.knn import whitened

FEWEST = 50  # samples; a map of fewer shows chance
MOST = 200  # of one stream: t-SNE of a thousand samples takes about ten seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutVectors:
    """The trained encoder's mean feature of every held-out sample of one stream. `kind` is the
    stream's modality, or all of them.
    """

    kind: str
    names: tuple[str, ...]
    labels: tuple[Label, ...]
    values: Float32[np.ndarray, "n d"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutMap:
    """The map's part of a page, or in its place a sentence that says why there is none."""

    html: Html
    needs_plotly: bool


def held_out_map(streams: Sequence[HeldOutVectors]) -> HeldOutMap:
    """A scene coloured by modality and one coloured by class, of at most MOST samples a stream."""
    parts = [_thinned(part) for part in streams]
    count = sum(len(part.names) for part in parts)
    if count < FEWEST:
        said = f"No map: it takes {FEWEST} held-out samples or more, this run has {count}."
        return HeldOutMap(html=paragraphs([said]), needs_plotly=False)
    values = np.concatenate([part.values for part in parts])
    points = Points(
        xy=tsne_places(whitened(values, values)),
        names=tuple(name for part in parts for name in part.names),
        kinds=tuple(part.kind for part in parts for _ in part.names),
        labels=tuple(
            label if isinstance(label, str) else None for part in parts for label in part.labels
        ),
    )
    found = [element("h3", "By modality"), scene(points, points.kinds, "modality")]
    if any(points.labels):
        found += [element("h3", "By class"), scene(points, points.by_label(), "class")]
    return HeldOutMap(html=joined(*found, _explanation(count)), needs_plotly=True)


def _thinned(part: HeldOutVectors) -> HeldOutVectors:
    """Evenly, since files are sorted by class; without samples whose features are not finite."""
    finite = np.flatnonzero(np.isfinite(part.values).all(axis=1))
    rows = [int(finite[i]) for i in spread(len(finite), MOST)]
    return HeldOutVectors(
        kind=part.kind,
        names=tuple(part.names[i] for i in rows),
        labels=tuple(part.labels[i] for i in rows),
        values=part.values[rows],
    )


def _explanation(count: int) -> Html:
    return paragraphs(
        [
            f"t-SNE by cosine distance of {count:,} held-out samples' features (mean of the frozen "
            "encoder's output over all tokens, nothing hidden, whitened over all modalities "
            "together). Which samples are near tells something; distances between groups and "
            "their sizes do not. Point at a sample for its name; click an entry of the legend to "
            "hide it.",
        ]
    )
