"""The nearest of the run's own samples, by the vectors of its encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32

from omnimask.data.samples import Unreadable, read_batches, spread
from omnimask.data.streams import StreamReader
from omnimask.network.pooling import pool
from omnimask.report.drawing.panels import Pixels, original
from omnimask.tokens.tokens import Group
from omnimask.transfer.pretrained_encoder import PretrainedEncoder
from omnimask.transfer.probing.knn import whitened

DROPPED = "demo"  # the stream of files that are none of the run's
_MOST = 200  # samples of each stream that are compared
_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """`similarity` is the cosine of the whitened vectors, in [-1, 1]."""

    picture: Pixels
    name: str
    label: str
    similarity: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """The vectors of one modality, and where each sample is read again."""

    vectors: Float32[np.ndarray, "n d"]
    places: tuple[tuple[StreamReader, int], ...]


class Neighbours:
    """Vectors are computed when a modality is first asked for: it takes a pass over its samples."""

    def __init__(self, encoder: PretrainedEncoder, readers: Sequence[StreamReader]) -> None:
        self.encoder, self.readers = encoder, readers
        self._known: dict[str, _Known] = {}

    def of(self, group: Group) -> tuple[Neighbour, ...]:
        """Those of the one sample of one modality in `group`; never itself."""
        (name,) = group.raw
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._all(name)
        if len(known.places) < 3:  # too few to say which directions are usual
            return ()
        both = whitened(known.vectors, np.concatenate([known.vectors, self._vectors(group)]))
        both /= np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-12)
        similarities = both[:-1] @ both[-1]
        order = np.argsort(-similarities, kind="stable")
        others = [i for i in order.tolist() if not _same(known.places[i], group)]
        return tuple(
            self._drawn(name, known.places[i], float(similarities[i])) for i in others[:_SHOWN]
        )

    def _all(self, name: str) -> _Known:
        vectors, places = [], []
        for reader in self.readers:
            if name not in reader.modalities:
                continue
            indices = spread(len(reader), _MOST)
            index_of = {reader.name(index): index for index in indices}
            for batch in read_batches(reader, indices, Unreadable(), device=self.encoder.device):
                group = batch.group
                vectors.append(self._vectors(replace(group, raw={name: group.raw[name]})))
                places += [(reader, index_of[sample]) for sample in group.names]
        return _Known(vectors=np.concatenate(vectors), places=tuple(places))

    @torch.no_grad()
    def _vectors(self, group: Group) -> Float32[np.ndarray, "b d"]:
        encoded = self.encoder(group.to(self.encoder.device))
        return pool(encoded, "mean").cpu().numpy()

    def _drawn(self, name: str, place: tuple[StreamReader, int], similarity: float) -> Neighbour:
        reader, index = place
        raw = reader.held_out_group([index]).raw[name]
        label = reader.label(index)
        return Neighbour(
            picture=original(reader.modalities[name], raw),
            name=reader.name(index),
            label="" if label is None else str(label),
            similarity=similarity,
        )


def _same(place: tuple[StreamReader, int], group: Group) -> bool:
    """Whether the group is of the run and this is its sample, in this stream or in another."""
    reader, index = place
    return group.stream != DROPPED and reader.name(index) == group.names[0]
