"""Lists of files: what every reader names, labels and opens alike, wherever the bytes lie."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

LabelsFrom = Literal["folder", "none"]


@runtime_checkable
class FileList(Protocol):
    """Names and, by position, files; `endings` are the suffixes that occur. `fingerprint` tells two
    states of the place apart; "" of a list that somebody wrote down.
    """

    @property
    def folder(self) -> str:
        """Where they lie, for people."""
        ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def endings(self) -> frozenset[str]: ...

    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def label(self, index: int, /) -> str | None: ...

    def local(self, index: int, /) -> AbstractContextManager[Path]:
        """A path under which the file can be read, until the context ends."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderFiles:
    """Paths below `folder`, sorted; a file's label is the name of the folder that it lies in.

    `endings` and `fingerprint` are those of a `FileList`. `classes`: the label of each where a
    list says one ("" is none).
    """

    folder: str
    names: Sequence[str] = field(repr=False)
    labels: LabelsFrom = "folder"
    endings: frozenset[str] = frozenset()
    fingerprint: str = ""
    classes: Sequence[str] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        return Path(self.folder, self.names[index])

    @contextmanager
    def local(self, index: int) -> Iterator[Path]:
        yield self.path(index)

    def label(self, index: int) -> str | None:
        """None at the top of the folder, and where labels were not asked for."""
        if self.labels == "none":
            return None
        if self.classes is not None:
            return self.classes[index] or None
        return Path(self.names[index]).parent.name or None
