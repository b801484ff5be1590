"""The list of what a store holds, found once and kept, as a folder's manifest is."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnimask.data.kept import Columns, cache_folders, digest, is_cache_asked_for, keep
from omnimask.data.manifest import WORTH_KEEPING
from omnimask.foundation.errors import DataError

FIELDS = ("name", "label")


def listed_once(
    root: str | Path, key: Sequence[Any], files: Sequence[Path], scan: Callable[[], Columns]
) -> Columns:
    """What `scan` finds in `files`; kept, where it is much, until one of them has another length or
    time of change.
    """
    state = [[str(path.resolve()), *_state(path)] for path in files]
    return keep(
        cache_folders(root),
        digest("stored", *key, [name for name, *_ in state]),
        lambda: _with_state(scan(), state),
        fresh=lambda kept: kept.about["state"] == state,
        worth=lambda made: len(made.arrays["name"]) >= WORTH_KEEPING or is_cache_asked_for(),
    )


def fingerprint(key: Sequence[Any], columns: Columns) -> str:
    return digest("stored", *key, columns.about.get("state"))


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _with_state(columns: Columns, state: list[list[Any]]) -> Columns:
    return Columns(arrays=columns.arrays, about={**columns.about, "state": state})


def sorted_columns(
    names: Sequence[str], others: Mapping[str, Any], *, where: object, endings: Collection[str]
) -> Columns:
    """By name; DataError where two files have one name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pa.array(names, pa.large_string())
    order = pc.sort_indices(column)  # pyright: ignore[reportAttributeAccessIssue] pyarrow.compute makes its functions at import
    column = column.take(order)
    if len(column) > 1:
        alike = pc.equal(column[1:], column[:-1])  # pyright: ignore[reportAttributeAccessIssue] see above
        if alike.true_count:
            name = column[int(np.flatnonzero(alike.to_numpy(zero_copy_only=False))[0])].as_py()
            raise DataError(
                f"{where}: {alike.true_count} names stand for two files, as {name!r}; expected "
                "each once, also over all shards; rename them"
            )
    arrays = {"name": column}
    arrays |= {key: pa.array(values).take(order) for key, values in others.items()}
    return Columns(arrays=arrays, about={"endings": sorted(endings)})


def fitting_end(name: str, suffixes: Sequence[str]) -> str | None:
    """The longest of the suffixes that a file's name ends in; None for a hidden file, too."""
    last = name.rpartition("/")[2].lower()
    if last.startswith("."):
        return None
    return max((end for end in suffixes if last.endswith(end)), key=len, default=None)


def nothing_found(where: object, what: str, suffixes: Collection[str]) -> DataError:
    expected = ", ".join(sorted(suffixes))
    return DataError(f"{where}: holds no {what}; expected files ending in {expected}")
