"""Columns that are made once and kept in a file: shared by processes, mapped, never unpickled.

A set of columns is a small JSON file, which names an Arrow file per column with its length and
CRC-32. It is written last and put in place by a rename, so that whoever reads sees all or nothing.
What is damaged or was written by another version is made anew, with a word about it.
"""

import hashlib
import json
import logging
import os
import tempfile
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

FOLDER = ".omnimask"
_FORMAT = 1
_CHUNK = 1 << 24
_log = logging.getLogger("omnimask")


class DamagedError(ValueError):
    """Why kept columns cannot be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Arrow arrays by name, which may differ in length, and what else is to be known of them.

    `pointer`: the JSON file that they were read from; None where they are in memory alone.
    """

    arrays: "Mapping[str, pyarrow.Array]"
    about: Mapping[str, Any]
    pointer: Path | None = None


def cache_folders(root: str | Path) -> list[Path]:
    """Where columns about files below `root` may be kept, the best first: in `OMNIMASK_CACHE` alone
    where that is set, else in `.omnimask` below `root`, else in the user's cache folder.
    """
    asked = os.environ.get("OMNIMASK_CACHE")
    if asked:
        return [Path(asked)]
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "omnimask"
    return [user] if "://" in str(root) else [Path(root, FOLDER), user]


def is_cache_asked_for() -> bool:
    """Whether somebody has said where; small things are then kept, too."""
    return bool(os.environ.get("OMNIMASK_CACHE"))


def digest(*parts: Any) -> str:
    """A short name for JSON values."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def keep(
    folders: Sequence[Path],
    key: str,
    make: Callable[[], Columns],
    *,
    fresh: Callable[[Columns], bool] = lambda _: True,
    worth: Callable[[Columns], bool] = lambda _: True,
) -> Columns:
    """The columns kept as `key` in one of the folders if they are `fresh`; else those that `make`
    makes, which are kept in the first folder that can be written if they are `worth` it. Of
    processes of a machine that ask at once, one makes them.
    """
    found = _usable(folders, key, fresh)
    if found is not None:
        return found
    with _locked(key):
        found = _usable(folders, key, fresh, quiet=True)  # made meanwhile by another process
        if found is not None:
            return found
        made = make()
        return _written(folders, key, made) if worth(made) else made


def _written(folders: Sequence[Path], key: str, made: Columns) -> Columns:
    failures = []
    for folder in folders:
        try:
            _make_folder(folder)
            write_columns(folder / f"{key}.json", made)
            return read_columns(folder / f"{key}.json")
        except (OSError, DamagedError) as error:
            failures.append(f"{folder}: {error}")
    if failures:
        _log.warning("nothing is kept, so that it is made anew every time: %s", "; ".join(failures))
    return made


def _make_folder(folder: Path) -> None:
    """Its parent keeps its time of change: the manifest that is put here is about that folder."""
    if folder.is_dir():
        return
    if folder.name != FOLDER:
        folder.mkdir(parents=True, exist_ok=True)
        return
    before = folder.parent.stat()
    folder.mkdir(exist_ok=True)
    with suppress(PermissionError):  # of another owner: it is listed once more next time
        os.utime(folder.parent, ns=(before.st_atime_ns, before.st_mtime_ns))


def _usable(
    folders: Sequence[Path], key: str, fresh: Callable[[Columns], bool], *, quiet: bool = False
) -> Columns | None:
    level = logging.DEBUG if quiet else logging.WARNING
    for folder in folders:
        pointer = folder / f"{key}.json"
        try:
            columns = read_columns(pointer)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except (DamagedError, OSError) as error:
            _log.log(level, "%s: %s; it is made anew", pointer, error)
            continue
        if fresh(columns):
            return columns
        _log.log(level, "%s: the files that it is about have changed; it is made anew", pointer)
    return None


def write_columns(pointer: Path, columns: Columns) -> None:
    """Puts columns in place, and removes those that were there before."""
    import pyarrow as pa

    name = f"{pointer.stem}-{uuid.uuid4().hex[:12]}"
    files = {}
    for column, array in columns.arrays.items():
        path = pointer.with_name(f"{name}.{column}.arrow")
        batch = pa.record_batch([array], names=[column])
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, batch.schema) as writer:
            writer.write_batch(batch)
        files[column] = {"file": path.name, "bytes": path.stat().st_size, "crc32": _crc32(path)}
    said = {"format": _FORMAT, "columns": files, "about": dict(columns.about)}
    said["crc32"] = _crc_of(said)
    temporary = pointer.with_name(f"{name}.tmp")
    temporary.write_text(json.dumps(said))
    temporary.replace(pointer)
    kept = {entry["file"] for entry in files.values()}
    for old in pointer.parent.glob(f"{pointer.stem}-*"):
        if old.name not in kept:
            old.unlink(missing_ok=True)  # whoever has mapped it keeps it


def read_columns(pointer: Path) -> Columns:
    """Mapped, not read. FileNotFoundError where there are none; DamagedError, saying why,
    where they cannot be used.
    """
    import pyarrow as pa

    try:
        said = json.loads(pointer.read_text())
    except ValueError as error:
        raise DamagedError(f"is no JSON ({error})") from error
    if not isinstance(said, dict) or said.get("format") != _FORMAT:
        raise DamagedError("was written by another version of omnimask")
    if said.pop("crc32", None) != _crc_of(said):
        raise DamagedError("does not have the checksum that it states")
    arrays = {}
    for column, entry in said["columns"].items():
        path = pointer.with_name(Path(entry["file"]).name)
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            raise DamagedError(f"{path.name} is gone or cut off")
        if _crc32(path) != entry["crc32"]:
            raise DamagedError(f"{path.name} does not have the checksum that is stated")
        try:
            arrays[column] = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0).column(0)
        except (pa.ArrowException, OSError) as error:
            raise DamagedError(f"{path.name} is no Arrow file ({error})") from error
    return Columns(arrays=arrays, about=said["about"], pointer=pointer)


def _crc_of(said: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(said, sort_keys=True).encode())


def _crc32(path: Path) -> int:
    """Read piece by piece, not through a map, whose pages would count as this process's memory."""
    total, piece = 0, bytearray(_CHUNK)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(piece):
            total = zlib.crc32(memoryview(piece)[:size], total)
    return total


@contextmanager
def _locked(key: str) -> Iterator[None]:
    """One process of a machine at a time; a lock on a shared folder would not hold everywhere."""
    try:
        import fcntl

        path = Path(tempfile.gettempdir(), f"omnimask-{os.getuid()}-{key}.lock")
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(path, flags, 0o600)
    except (ImportError, OSError):  # no such locks here, or nowhere to write: each makes its own
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
