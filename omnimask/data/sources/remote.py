"""Files behind a URL, through fsspec: object stores, web servers.

A remote folder cannot be asked cheaply whether it has changed: what was kept of it is taken until
somebody removes it.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from omnimask.data.file_list import LabelsFrom
from omnimask.data.kept import Columns, cache_folders, digest, is_cache_asked_for, keep
from omnimask.data.manifest import WORTH_KEEPING
from omnimask.data.names import Names
from omnimask.data.sources.listing import fitting_end, nothing_found, sorted_columns
from omnimask.data.sources.stored import StoredFiles, check_name
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.optional import needs

# Those that give bytes and run nothing.
PROTOCOLS = ("s3", "gs", "gcs", "az", "abfs", "http", "https", "hf", "memory")


def is_url(path: str) -> bool:
    return "://" in path


def remote_files(
    root: str, path: str, suffixes: Collection[str], *, what: str, labels: LabelsFrom
) -> StoredFiles:
    """The files below a URL: `path` itself, or below `root` where that is one."""
    url = path if is_url(path) else f"{root.rstrip('/')}/{path}".removesuffix("/.")
    protocol = url.partition("://")[0]
    if protocol not in PROTOCOLS:
        raise RecipeError(f"{url}: URLs begin with {', '.join(PROTOCOLS)}, got {protocol!r}")
    needs("fsspec", extra="remote", what=url)
    store_of = RemoteStore(url, protocol)
    key = digest("remote", url, sorted(suffixes))
    kept = keep(
        cache_folders(url),
        key,
        lambda: _scan(store_of, sorted(suffixes)),
        worth=lambda made: len(made.arrays["name"]) >= WORTH_KEEPING or is_cache_asked_for(),
    )
    names = Names(kept.arrays["name"], kept.pointer)
    if not len(names):
        raise nothing_found(url, what, suffixes)
    return StoredFiles(
        folder=url,
        names=names,
        store=RemoteStore(url, protocol, names),
        labels=labels,
        endings=frozenset(kept.about["endings"]),
        fingerprint=digest("remote", url, kept.about["listing"]),
    )


@dataclass(frozen=True, slots=True)
class RemoteStore:
    """Files below a URL. Each process has connections of its own: they do not outlive a fork."""

    url: str
    protocol: str
    names: Sequence[str] = ()
    systems: dict[int, Any] = field(default_factory=dict, repr=False)

    def read(self, index: int, /) -> bytes:
        place = f"{self.url.rstrip('/')}/{self.names[index]}"
        try:
            return self.system().cat_file(place)
        except Exception as error:  # every store has errors of its own
            raise DataError(f"{place}: cannot be read ({type(error).__name__}: {error})") from error

    def system(self) -> Any:
        import fsspec

        if os.getpid() not in self.systems:
            self.systems.clear()
            self.systems[os.getpid()] = fsspec.filesystem(
                self.protocol, skip_instance_cache=self.protocol != "memory"
            )
        return self.systems[os.getpid()]

    def __reduce__(self) -> tuple[object, ...]:
        return RemoteStore, (self.url, self.protocol, self.names)


def _scan(store: RemoteStore, suffixes: Sequence[str]) -> Columns:
    try:
        system = store.system()
        top = system._strip_protocol(store.url).rstrip("/")
        found = system.find(store.url, detail=True)
    except Exception as error:  # likewise
        raise DataError(
            f"{store.url}: cannot be listed ({type(error).__name__}: {error}); check the address, "
            "and that this machine may read it"
        ) from error
    names, sizes, endings = [], [], set()
    for place, said in found.items():
        end = fitting_end(str(place), suffixes)
        if end is None:
            continue
        inside = str(PurePosixPath(str(place)).relative_to(PurePosixPath(top)))
        names.append(check_name(inside, store.url))
        sizes.append(int(said.get("size") or 0))
        endings.add(end)
    columns = sorted_columns(names, {"size": sizes}, where=store.url, endings=endings)
    listing = digest(columns.arrays["name"].to_pylist(), columns.arrays["size"].to_pylist())
    return Columns(arrays=columns.arrays, about={**columns.about, "listing": listing})
