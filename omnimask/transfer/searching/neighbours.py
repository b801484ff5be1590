"""Nearest neighbours of files or of rows among embedded ones."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from omnimask.foundation.errors import DataError, RecipeError
from omnimask.transfer.embedding.embed import open_embedder
from omnimask.transfer.embedding.listing import NotEmbedded
from omnimask.transfer.embedding.vectors import Embedder, Embedding, EmbedOptions, Key, row_of
from omnimask.transfer.probing.knn import whitened
from omnimask.transfer.searching.features import VectorTable, name_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Sought:
    """What is looked for. `place` is its row of the vector table, if it stands in it."""

    key: Key
    modality: str
    label: str | None
    vector: Float32[np.ndarray, " d"]
    place: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """`similarity` is the cosine of the angle between the two vectors, in [-1, 1]."""

    key: Key
    modality: str
    label: str | None
    similarity: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """`k` neighbours, of `modality` only, if that is given. `within` leaves out whatever is of
    another modality than the query. `whiten`: see `probing.knn.whiten`; measured on all
    vectors of the table, with `within` on those of the query's modality.
    """

    k: int = 5
    modality: str | None = None
    within: bool = False
    whiten: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise RecipeError(f"k must be >= 1, got {self.k}")


def nearest(
    table: VectorTable, queries: Sequence[Sought], options: SearchOptions | None = None
) -> list[list[Hit]]:
    """Per query, the most similar samples of the table, nearest first; never itself.

    RecipeError for a modality that the table does not have.
    """
    options = options or SearchOptions()
    if options.modality is not None and options.modality not in table.modalities:
        known = ", ".join(sorted(set(table.modalities)))
        raise RecipeError(f"no vector is of the modality {options.modality!r}; there are {known}")
    return [_hits(table, query, options) for query in queries]


def _hits(table: VectorTable, query: Sought, options: SearchOptions) -> list[Hit]:
    from sklearn.neighbors import NearestNeighbors

    of = np.asarray(table.modalities)
    compared = of == query.modality if options.within else np.ones(len(table), dtype=bool)
    asked = compared if options.modality is None else compared & (of == options.modality)
    if query.place is not None:
        asked = asked & (np.arange(len(table)) != query.place)
    places = np.flatnonzero(asked)
    if not len(places):
        return []
    vectors, vector = table.vectors[places], query.vector[None]
    if options.whiten:
        both = whitened(table.vectors[compared], np.concatenate([vectors, vector]))
        vectors, vector = both[:-1], both[-1:]
    index = NearestNeighbors(n_neighbors=min(options.k, len(places)), metric="cosine")
    distances, found = index.fit(vectors).kneighbors(vector)
    return [
        Hit(
            key=table.keys[place],
            modality=table.modalities[place],
            label=table.labels[place],
            similarity=1.0 - float(distance),
        )
        for place, distance in zip(places[found[0]].tolist(), distances[0], strict=True)
    ]


class Seeker:
    """Turns what a user names into vectors: rows of the table as they are, other files through
    the encoder, which must be the one that made the table.
    """

    def __init__(
        self,
        table: VectorTable,
        encoder: Path | str | None = None,
        *,
        modality: tuple[str, ...] = (),
    ) -> None:
        self.table = table
        self.places = {name: place for place, name in enumerate(table.names)}
        self.embedder: Embedder | None = None
        if encoder is not None:
            pooling = "cls" if table.made.pooling == "cls" else "mean"
            options = EmbedOptions(pooling=pooling, modality=modality)
            self.embedder = open_embedder(encoder, options)
            check_same_encoder(table, self.embedder)

    def seek(self, query: str) -> Sought:
        """DataError for what is neither in the table nor a file that can be embedded."""
        path, row = query, row_of(query)
        if row is not None:
            path = query.rpartition("#row ")[0]
        key = Key(path=os.path.normpath(Path(path).absolute()), row=row)
        if (place := self.places.get(name_of(key))) is not None:
            return Sought(
                key=key,
                modality=self.table.modalities[place],
                label=self.table.labels[place],
                vector=self.table.vectors[place],
                place=place,
            )
        return self._embedded(key)

    def _embedded(self, key: Key) -> Sought:
        if not Path(key.path).is_file():
            raise DataError(f"{name_of(key)} is neither in the table of vectors nor a file")
        if self.embedder is None:
            raise RecipeError(f"{name_of(key)} is not in the table; name its encoder: --encoder")
        for part in self.embedder.parts([key.path]):
            if isinstance(part, NotEmbedded):
                raise DataError(part.reason)
            for found in self.embedder.embed(part):
                if isinstance(found, NotEmbedded):
                    raise DataError(found.reason)
                if found.key == key:
                    return _sought(found)
        raise DataError(f'{key.path}: has rows; write "{key.path}#row 0" for the first of them')


def _sought(found: Embedding) -> Sought:
    return Sought(key=found.key, modality=found.modality, label=found.label, vector=found.vector)


def check_same_encoder(table: VectorTable, embedder: Embedder) -> None:
    """RecipeError where the table was made by another encoder."""
    own = embedder.encoder.hash()
    if own != table.made.model:
        raise RecipeError(
            f"the table has vectors of the encoder {table.made.encoder} ({table.made.model}), got "
            f"{embedder.encoder.info.name} ({own}); name that encoder, or embed the files anew"
        )
