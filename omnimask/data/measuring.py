"""The samples that statistics are measured on: read in order, by several processes where it takes
long."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch.utils.data import DataLoader, Dataset

from omnimask.data.parcels import Parcel, pack, unpack
from omnimask.data.reading import read_sample
from omnimask.foundation.errors import OmnimaskError
from omnimask.tokens.modality import Label, Sample, Source, Visit

MOST_MEASURED = 256
_PATIENCE_S = 0.5  # of reading alone; starting workers takes a tenth of a second


@runtime_checkable
class ReadsAhead(Protocol):
    """A source that can read many samples faster than one after another."""

    def read_ahead(self, indices: Sequence[int], visit: Visit, /) -> Iterator[Sample]: ...


def measured_samples(source: Source, most: int = MOST_MEASURED) -> Iterator[Sample]:
    """At most so many samples, evenly spread over the source and in its order, without
    augmentation: what a modality's `fit` measures.
    """
    visit = Visit(key=0, augment=False)
    places = np.unique(np.linspace(0, len(source) - 1, most).round().astype(int)).tolist()
    if isinstance(source, ReadsAhead):
        return source.read_ahead(places, visit)
    return (read_sample(source, place, visit) for place in places)


@runtime_checkable
class StandsFor(Protocol):
    """A source around another one of the same samples."""

    @property
    def source(self) -> Source: ...


@dataclass(frozen=True, slots=True)
class WithWorkers:
    """A source that is read by `num_workers` processes where one takes longer than half a second.

    Samples and errors come in the same order whatever their number.
    """

    source: Source
    num_workers: int

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int, /) -> str:
        return self.source.name(index)

    def label(self, index: int, /) -> Label:
        return self.source.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        return self.source.read(index, visit)

    def read_ahead(self, indices: Sequence[int], visit: Visit, /) -> Iterator[Sample]:
        started = time.perf_counter()
        for number, index in enumerate(indices):
            if self.num_workers and time.perf_counter() - started > _PATIENCE_S:
                yield from self._by_workers(indices[number:], visit)
                return
            yield read_sample(self.source, index, visit)

    def _by_workers(self, indices: Sequence[int], visit: Visit) -> Iterator[Sample]:
        loader = DataLoader(
            _Samples(self.source, visit),
            batch_size=None,
            sampler=indices,
            num_workers=self.num_workers,
        )
        for sent in loader:
            if isinstance(sent, OmnimaskError):
                raise sent
            ((sample,),) = (found.values() for found in unpack(sent))
            yield sample


def innermost(source: Source) -> Source:
    """The source that a modality's own `Files` record opened."""
    while isinstance(source, StandsFor):
        source = source.source
    return source


class _Samples(Dataset[Parcel | OmnimaskError]):
    def __init__(self, source: Source, visit: Visit) -> None:
        self.source, self.visit = source, visit

    def __getitem__(self, index: int) -> Parcel | OmnimaskError:
        try:
            return pack([{"sample": read_sample(self.source, index, self.visit)}])
        except OmnimaskError as error:
            return type(error)(str(error))  # without its traceback, which no process can send
