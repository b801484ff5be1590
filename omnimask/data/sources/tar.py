"""Tar shards in WebDataset's layout, read by position through an index of offsets.

Files that belong together have one name without suffix ("000123.jpg", "000123.cls"); `.cls` says a
sample's class. Names and the order of samples are those of the same files in a folder, so that a
run over shards is the run over the folder that they were made of.
"""

import os
import tarfile
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from omnimask.data.file_list import LabelsFrom
from omnimask.data.kept import Columns
from omnimask.data.names import Names
from omnimask.data.sources.listing import (
    fingerprint,
    fitting_end,
    listed_once,
    nothing_found,
    sorted_columns,
)
from omnimask.data.sources.stored import StoredFiles, check_name
from omnimask.foundation.errors import DataError

if TYPE_CHECKING:
    import pyarrow

_MOST_OPEN = 64  # shards, in each process
_LARGEST_CLASS = 4096  # bytes of a .cls file


def tar_files(
    root: str, shards: Sequence[Path], suffixes: Collection[str], *, what: str, labels: LabelsFrom
) -> StoredFiles:
    """The members of the shards with one of the suffixes."""
    key = ("tar", sorted(suffixes))
    kept = listed_once(root, key, shards, lambda: _scan(shards, sorted(suffixes)))
    where = shards[0].parent
    if not len(kept.arrays["name"]):
        raise nothing_found(where, what, suffixes)
    classes = kept.arrays["label"] if kept.about["has_labels"] else None
    return StoredFiles(
        folder=str(where),
        names=Names(kept.arrays["name"], kept.pointer),
        store=TarStore(
            tuple(shards), *(kept.arrays[name] for name in ("shard", "offset", "length"))
        ),
        labels=labels,
        endings=frozenset(kept.about["endings"]),
        fingerprint=fingerprint(key, kept),
        classes=None if classes is None else Names(classes, kept.pointer, "label"),
    )


@dataclass(frozen=True, slots=True)
class TarStore:
    """By position in the index, a shard and where in it the bytes stand."""

    shards: tuple[Path, ...]
    shard: "pyarrow.Array"
    offset: "pyarrow.Array"
    length: "pyarrow.Array"
    # Reading at an offset moves nothing, so that forked processes may share what is open.
    opened: OrderedDict[int, int] = field(default_factory=OrderedDict, repr=False)

    def read(self, index: int, /) -> bytes:
        number = self.shard[index].as_py()
        length = self.length[index].as_py()
        try:
            data = os.pread(self._file(number), length, self.offset[index].as_py())
        except OSError as error:
            raise DataError(f"{self.shards[number]}: cannot be read ({error})") from error
        if len(data) < length:
            raise DataError(
                f"{self.shards[number]}: ends before the {length} bytes of one of its files; it is "
                "cut off or was changed while in use; replace it"
            )
        return data

    def _file(self, number: int) -> int:
        if number not in self.opened:
            while len(self.opened) >= _MOST_OPEN:
                os.close(self.opened.popitem(last=False)[1])
            self.opened[number] = os.open(self.shards[number], os.O_RDONLY | os.O_CLOEXEC)
        self.opened.move_to_end(number)
        return self.opened[number]

    def __reduce__(self) -> tuple[object, ...]:
        return TarStore, (self.shards, self.shard, self.offset, self.length)


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    offset: int
    length: int


def members(shard: Path) -> Iterator[Member]:
    """The plain files in a shard; DataError for an archive that is damaged, is compressed, or has
    names that lead out of it. Links are not followed but refused.
    """
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                name = check_name(member.name, shard)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise DataError(
                        f"{shard}: {name!r} is a link, a device or a sparse file; expected plain "
                        "files; pack it anew"
                    )
                yield Member(name, member.offset_data, member.size)
            end = archive.offset
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise DataError(
            f"{shard}: is no tar archive or is damaged ({error}); expected an uncompressed .tar; "
            "unpack it with gunzip, or make it anew"
        ) from error
    if end > shard.stat().st_size:
        raise DataError(f"{shard}: is cut off; make it anew")


def _scan(shards: Sequence[Path], suffixes: Sequence[str]) -> Columns:
    names: list[str] = []
    places: dict[str, list[int]] = {"shard": [], "offset": [], "length": []}
    classes: dict[str, str] = {}
    endings: set[str] = set()
    for number, shard in enumerate(shards):
        for member in members(shard):
            if member.name.endswith(".cls"):
                classes[member.name[:-4]] = _text(shard, member)
            end = fitting_end(member.name, suffixes)
            if end is None:
                continue
            endings.add(end)
            names.append(member.name)
            for key, value in zip(places, (number, member.offset, member.length), strict=True):
                places[key].append(value)
    labels = [classes.get(str(PurePosixPath(name).with_suffix("")), "") for name in names]
    found = sorted_columns(
        names, {**places, "label": labels}, where=shards[0].parent, endings=endings
    )
    return Columns(arrays=found.arrays, about={**found.about, "has_labels": bool(classes)})


def _text(shard: Path, member: Member) -> str:
    with shard.open("rb") as file:
        file.seek(member.offset)
        data = file.read(min(member.length, _LARGEST_CLASS))
    try:
        return data.decode().strip()
    except UnicodeDecodeError as error:
        raise DataError(f"{shard}: {member.name} is no text ({error}); expected a class") from error
