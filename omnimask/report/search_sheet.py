"""Queries and their neighbours as a sheet of pictures."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omnimask.data.reading import read_sample
from omnimask.foundation.errors import RecipeError
from omnimask.report.drawing.grid import Line, Section
from omnimask.report.drawing.panels import Pixels, original
from omnimask.report.drawing.sheet import Sheet
from omnimask.tokens.modality import Visit
from omnimask.transfer.embedding.vectors import Embedder, Key
from omnimask.transfer.searching.features import name_of
from omnimask.transfer.searching.neighbours import Hit, Sought

_HEIGHT = 150


def search_sheet(
    embedder: Embedder, queries: Sequence[Sought], found: Sequence[Sequence[Hit]]
) -> Sheet:
    """One section per query, paths from the last folder that all shown files have in common.

    The files are read again; DataError for one that is gone since.
    """
    paths = [part.key.path for part in (*queries, *(hit for hits in found for hit in hits))]
    folder = Path(os.path.commonpath([Path(path).parent for path in paths])).parent
    sections = []
    for query, hits in zip(queries, found, strict=True):
        shown = [query, *hits]
        pictures = tuple(_picture(embedder, part.modality, part.key) for part in shown)
        words = [f"{i}. {_words(hit, folder)}" for i, hit in enumerate(hits, 1)]
        sections.append(
            Section(
                heading=f"{_short(query.key, folder)} ({query.modality})",
                details=tuple(words),
                roles=("query", *(f"{hit.similarity:.3f}" for hit in hits)),
                lines=(Line(label="", samples=(pictures,)),),
                squares=True,
            )
        )
    return Sheet(title="Nearest neighbours", sections=tuple(sections))


def _short(key: Key, folder: Path) -> str:
    return name_of(replace(key, path=os.path.relpath(key.path, folder)))


def _words(hit: Hit, folder: Path) -> str:
    label = f", {hit.label}" if hit.label else ""
    return f"{_short(hit.key, folder)} ({hit.modality}{label}) {hit.similarity:.3f}"


def _picture(embedder: Embedder, modality: str, key: Key) -> Pixels:
    """The original panel of the modality's own drawing, on a white square."""
    reading = embedder.readings.get(modality)
    if reading is None:
        raise RecipeError(f"the encoder does not read files of {modality!r}; no picture of {key}")
    source = reading.open(key.path)
    rows = range(len(source)) if key.row is not None else range(1)
    names = (f"#row {key.row}",) if key.row is not None else ("",)
    index = next(i for i in rows if source.name(i).endswith(names))
    raw = reading.modality.collate([read_sample(source, index, Visit(key=0, augment=False))])
    return _square(original(reading.modality, raw))


def _square(picture: Pixels) -> Pixels:
    import numpy as np
    from PIL import Image, ImageOps

    image = ImageOps.pad(Image.fromarray(picture), (2 * _HEIGHT, 2 * _HEIGHT), color="white")
    return np.asarray(image.convert("RGB"))
