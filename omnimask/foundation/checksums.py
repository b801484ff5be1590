"""SHA256SUMS beside the files of a folder, as `sha256sum -c` reads it."""

import hashlib
from pathlib import Path

NAME = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Writes the checksum of every file in `folder`, none of which may change afterwards."""
    (folder / NAME).write_text("".join(map(checksum_line, _files(folder))))


def checksum_line(path: Path) -> str:
    """The line of one file."""
    return f"{_sha256(path)}  {path.name}\n"


def find_damage(folder: Path) -> str:
    """What is wrong with a file that is not as it was written; "" where all are. Files that have
    come since do not count.
    """
    try:
        lines = (folder / NAME).read_text().splitlines()
    except FileNotFoundError:
        return f"{NAME} is missing"
    except UnicodeDecodeError:
        return f"{NAME} is no text"
    written = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    present = {path.name: path for path in _files(folder)}
    if not written:
        return f"{NAME} is empty"
    if missing := sorted(written.keys() - present.keys()):
        return f"{missing[0]} is missing"
    for name, digest in written.items():
        if _sha256(present[name]) != digest:
            return f"{name} has another checksum than when it was written"
    return ""


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name != NAME)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
