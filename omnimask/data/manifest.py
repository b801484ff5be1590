"""The manifest of a folder: the names of its files, listed once for all processes and runs.

A manifest is current as long as no folder below has another time of change than when it was made: a
file that comes or goes changes its folder's. That is one look per folder, not one per file.
"""

import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnimask.data.kept import (
    FOLDER,
    Columns,
    cache_folders,
    digest,
    is_cache_asked_for,
    keep,
)
from omnimask.data.names import Names
from omnimask.foundation.errors import DataError

if TYPE_CHECKING:
    import pyarrow

WORTH_KEEPING = 10_000  # names; fewer are listed within a tenth of a second
_UNSETTLED_NS = 2_000_000_000  # younger than this, a folder may change again within a tick


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """`fingerprint` tells two states of a folder apart; `endings` are the suffixes that occur."""

    names: Names
    fingerprint: str
    endings: frozenset[str]


def manifest_of(root: str, folder: Path, suffixes: Collection[str]) -> Manifest:
    """The files below `folder` with one of the suffixes (links are followed), sorted by name; kept
    where they are many, or where `OMNIMASK_CACHE` says where.
    """
    kept = keep(
        cache_folders(root),
        digest("folder", str(folder.resolve()), sorted(suffixes)),
        lambda: listed(folder, suffixes),
        fresh=lambda kept: _is_current(folder, kept),
        worth=lambda made: len(made.arrays["name"]) >= WORTH_KEEPING or is_cache_asked_for(),
    )
    return Manifest(
        names=Names(kept.arrays["name"], kept.pointer),
        fingerprint=kept.about["fingerprint"],
        endings=frozenset(kept.about["endings"]),
    )


def listed(folder: Path, suffixes: Collection[str]) -> Columns:
    """The names below a folder, and its folders with their times of change."""
    import pyarrow as pa
    import pyarrow.compute as pc

    started_ns = time.time_ns()
    endings = tuple(sorted(suffixes))
    chunks: list[Any] = []
    places: list[str] = []
    changed: list[int] = []
    for place, changed_ns, names in _walk(folder):
        places.append(place)
        changed.append(changed_ns)
        fitting = [n for n in names if n[0] != "." and n.lower().endswith(endings)]
        if fitting:
            chunks.append(_joined(folder, place, fitting))
    chunked = pa.chunked_array(chunks, pa.large_string())
    order = pc.sort_indices(chunked)  # pyright: ignore[reportAttributeAccessIssue] pyarrow.compute makes its functions at import
    names = chunked.take(order).combine_chunks()
    names = names if isinstance(names, pa.Array) else pa.concat_arrays(names.chunks)
    said = {
        "folder": str(folder),
        "endings": _endings_of(names, endings),
        "fingerprint": digest(
            "folder", str(folder.resolve()), endings, places, changed, len(names)
        ),
    }
    # What may change again without another time of change is never current.
    changed = [ns if ns < started_ns - _UNSETTLED_NS else -1 for ns in changed]
    about = pa.array(places, pa.large_string()), pa.array(changed, pa.int64())
    return Columns(arrays={"name": names, "folder": about[0], "changed_ns": about[1]}, about=said)


def _walk(folder: Path) -> Iterator[tuple[str, int, list[str]]]:
    """Every folder below (from `folder`, "" itself), its time of change, and its files."""
    waiting = [("", frozenset[tuple[int, int]]())]
    while waiting:
        place, above = waiting.pop()
        path = os.path.join(folder, place)  # noqa: PTH118 a Path for each would take as long again
        status = os.stat(path)  # noqa: PTH116 likewise
        itself = (status.st_dev, status.st_ino)
        if itself in above:
            continue  # a link to a folder that it lies in
        names: list[str] = []
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.is_dir():
                    names.append(entry.name)
                elif entry.name != FOLDER:
                    waiting.append((f"{place}{entry.name}/", above | {itself}))
        yield place, status.st_mtime_ns, names


def _joined(folder: Path, place: str, names: list[str]) -> "pyarrow.LargeStringArray":
    import pyarrow as pa

    try:
        return pa.array([place + name for name in names], pa.large_string())
    except UnicodeEncodeError as error:
        raise DataError(
            f"{folder}/{place!a}: holds a file whose name is no UTF-8 ({error}); rename it"
        ) from error


def _endings_of(names: "pyarrow.LargeStringArray", endings: Collection[str]) -> list[str]:
    """Those that occur; of ".nii.gz" and ".gz" the longer one that a name ends in."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rest, found = names, []
    for ending in sorted(endings, key=len, reverse=True):
        fits = pc.ends_with(rest, ending, ignore_case=True)  # pyright: ignore[reportAttributeAccessIssue] see above
        if isinstance(fits, pa.Array) and fits.true_count:
            found.append(ending)
            rest = rest.filter(pc.invert(fits))  # pyright: ignore[reportAttributeAccessIssue] see above
    return found


def _is_current(folder: Path, kept: Columns) -> bool:
    for start in range(0, len(kept.arrays["folder"]), 65_536):
        places = kept.arrays["folder"].slice(start, 65_536).to_pylist()
        changed = kept.arrays["changed_ns"].slice(start, 65_536).to_pylist()
        for place, changed_ns in zip(places, changed, strict=True):
            try:
                if os.stat(os.path.join(folder, place)).st_mtime_ns != changed_ns:  # noqa: PTH116, PTH118 see above
                    return False
            except OSError:
                return False
    return True
