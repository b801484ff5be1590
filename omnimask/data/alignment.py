"""Which samples of several sources are one: a join on their names without suffix, on columns."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from omnimask.data.file_list import FileList
from omnimask.data.kept import Columns, cache_folders, digest, keep
from omnimask.data.manifest import WORTH_KEEPING
from omnimask.data.names import stems_of
from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Source

Rows = Sequence[int] | Int64[np.ndarray, " n"]


@runtime_checkable
class OfFiles(Protocol):
    """A source whose samples are the files of a list, in its order."""

    @property
    def found(self) -> FileList: ...


def names_of(source: Source) -> Sequence[str]:
    """The names of all samples; without asking for each where they are a list."""
    if isinstance(source, OfFiles):
        return source.found.names
    return [source.name(index) for index in range(len(source))]


def align(stream: str, sources: Mapping[str, Source], root: str) -> dict[str, Rows]:
    """By source, the place in it of each sample. Several sources meet by path without suffix, in
    the order of the first; of files of one source that differ in their suffix alone, the first.

    The join of large lists is kept beside their manifests.
    """
    if len(sources) == 1:
        ((name, source),) = sources.items()
        return {name: range(len(source))}
    prints = [
        source.found.fingerprint for source in sources.values() if isinstance(source, OfFiles)
    ]
    if len(prints) < len(sources) or not all(prints):
        joined = _joined(sources)
    else:
        joined = keep(
            cache_folders(root),
            digest("pairs", prints),
            lambda: _joined(sources),
            worth=lambda made: len(made.arrays["0"]) >= WORTH_KEEPING,
        )
    rows = [joined.arrays[str(number)].to_numpy() for number in range(len(sources))]
    if not len(rows[0]):
        examples = {
            name: stems_of([source.name(0)])[0].as_py() if len(source) else None
            for name, source in sources.items()
        }
        raise DataError(
            f"stream {stream}: no sample has all of {sorted(sources)}; files are aligned by their "
            f"path without suffix, and the first ones are {examples}"
        )
    return dict(zip(sources, rows, strict=True))


def _joined(sources: Mapping[str, Source]) -> Columns:
    import pyarrow as pa

    first, *others = (stems_of(names_of(source)) for source in sources.values())
    # Where each of the first's stems stands in every source; null where it does not.
    places = [_index_in(first, stems) for stems in (first, *others)]
    kept = np.flatnonzero(places[0].to_numpy() == np.arange(len(first)))
    for place in places[1:]:
        kept = kept[place.is_valid().to_numpy(zero_copy_only=False)[kept]]
    taken = pa.array(kept)
    arrays = {str(n): place.take(taken).cast(pa.int64()) for n, place in enumerate(places)}
    return Columns(arrays=arrays, about={})


def _index_in(stems: Any, others: Any) -> Any:
    import pyarrow.compute as pc

    return pc.index_in(stems, value_set=others)  # pyright: ignore[reportAttributeAccessIssue] see above
