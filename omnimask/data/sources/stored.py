"""Files that lie in something else than a folder, as readers want them: each at a path, while it is
read."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from omnimask.data.file_list import LabelsFrom
from omnimask.foundation.errors import DataError, OmnimaskError

_IN_MEMORY = Path("/dev/shm")


@runtime_checkable
class Store(Protocol):
    """Bytes by position. May be called in any process, forked or not; DataError where they cannot
    be had.
    """

    def read(self, index: int, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFiles:
    """A list of files as `FolderFiles` is one, whose bytes come from a store.

    `classes`: the label of each where the source says one ("" is none); else it is the folder in
    the name.
    """

    folder: str
    names: Sequence[str] = field(repr=False)
    store: Store
    labels: LabelsFrom = "folder"
    endings: frozenset[str] = frozenset()
    fingerprint: str = ""
    classes: Sequence[str] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def label(self, index: int) -> str | None:
        if self.labels == "none":
            return None
        if self.classes is not None:
            return self.classes[index] or None
        return PurePosixPath(self.names[index]).parent.name or None

    @contextmanager
    def local(self, index: int) -> Iterator[Path]:
        """A file in memory that is gone afterwards. Errors that name it name the sample instead."""
        name = self.names[index]
        said = f"{self.folder}: {name}"
        with _file_of(self.store.read(index), PurePosixPath(name).name) as path:
            try:
                yield path
            except OmnimaskError as error:
                raise type(error)(str(error).replace(str(path), said)) from error


@contextmanager
def _file_of(data: bytes, name: str) -> Iterator[Path]:
    """The name's end alone matters to readers, and it may be longer than a file system allows."""
    place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="omnimask-", dir=place) as folder:
        path = Path(folder, name[-100:])
        path.write_bytes(data)
        yield path


def check_name(name: str, where: object) -> str:
    """The name in an archive; DataError for one that leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise DataError(
            f"{where}: has a member called {name!r}; expected names below the archive's top, "
            "without '..'; pack it anew"
        )
    return path.as_posix()
