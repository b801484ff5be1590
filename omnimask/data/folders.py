"""The files of one kind below a folder: what every reader lists, names and labels alike."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

from omnimask.data.manifest import manifest_of
from omnimask.foundation.errors import DataError

LabelsFrom = Literal["folder", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderFiles:
    """Paths below `folder`, sorted; a file's label is the name of the folder that it lies in.

    `endings`: the suffixes that occur. `fingerprint`: tells two states of the folder apart; "" of a
    list that somebody wrote down.
    """

    folder: str
    names: Sequence[str] = field(repr=False)
    labels: LabelsFrom = "folder"
    endings: frozenset[str] = frozenset()
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        return Path(self.folder, self.names[index])

    def label(self, index: int) -> str | None:
        """None at the top of the folder, and where labels were not asked for."""
        return (Path(self.names[index]).parent.name or None) if self.labels == "folder" else None


def suffix_of(path: str | PurePath, known: Collection[str]) -> str:
    """The longest of `known` suffixes (lower case, with the dot) that the name ends in, ".nii.gz"
    before ".gz"; what follows its last dot where it is none of them.
    """
    name = PurePath(path).name.lower()
    fitting = [suffix for suffix in known if name.endswith(suffix) and name != suffix]
    return max(fitting, key=len, default=PurePath(name).suffix)


def list_files(
    root: str, path: str, suffixes: Collection[str], *, what: str, labels: LabelsFrom
) -> FolderFiles:
    """Lists files by suffix (lower case, with the dot) below `root/path`, linked folders too.

    `what` names their kind in errors. DataError where there is no such folder or no such file.
    """
    folder = Path(root, path)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of {what}; check data.root and `path`")
    found = manifest_of(root, folder, suffixes)
    if not found.names:
        expected = ", ".join(sorted(suffixes))
        raise DataError(f"{folder}: holds no {what}; expected files ending in {expected}")
    return FolderFiles(
        folder=str(folder),
        names=found.names,
        labels=labels,
        endings=found.endings,
        fingerprint=found.fingerprint,
    )
