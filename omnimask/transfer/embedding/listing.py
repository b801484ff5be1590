"""Which files there are, and which modality each one is of."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnimask.data.folders import suffix_of
from omnimask.foundation.errors import DataError, RecipeError, nearest_names
from omnimask.transfer.embedding.file_reader import Reading


@dataclass(frozen=True, kw_only=True, slots=True)
class NotEmbedded:
    """A file without a vector, and why. `kind`: "unreadable", or "unknown" for one whose suffix no
    modality of the encoder reads. `named`: given by the user, not found in a folder.
    """

    path: str
    kind: str
    reason: str
    named: bool = True

    @property
    def is_failure(self) -> bool:
        """A README among pictures is none."""
        return self.kind == "unreadable" or self.named


def walk(paths: Sequence[Path | str]) -> Iterator[tuple[str, bool]]:
    """Absolute paths of files in a fixed order, each with whether the user named it himself.

    Folders are walked recursively, linked ones too; hidden files are left out. DataError for a path
    that is not there.
    """
    for path in map(Path, paths):
        if path.is_dir():
            for place, folders, names in os.walk(path.absolute(), followlinks=True):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(names):
                    if not name.startswith("."):
                        yield os.path.normpath(Path(place, name)), False
        elif path.exists():
            yield os.path.normpath(path.absolute()), True
        else:
            raise DataError(f"there is no {path.absolute()}; name files or folders")


class Kinds:
    """Modality by suffix, for an encoder's readings.

    `choices` are `name` (taken for every suffix that it reads) and `.suffix=name`. RecipeError for
    one that the encoder does not have or that does not read the suffix.
    """

    def __init__(self, readings: Mapping[str, Reading], choices: Sequence[str] = ()) -> None:
        self.readings = readings
        self._suffixes = {suffix for part in readings.values() for suffix in part.suffixes}
        self._by_suffix: dict[str, str] = {}
        self._preferred: list[str] = []
        for choice in choices:
            suffix, equals, name = choice.rpartition("=")
            if name not in readings:
                raise RecipeError(
                    f"--modality {choice}: the encoder has no modality {name!r} that files are "
                    f"read for; {nearest_names(name, readings)}"
                )
            if not equals:
                self._preferred.append(name)
            elif suffix.lower() not in readings[name].suffixes:
                raise RecipeError(
                    f"--modality {choice}: {name} reads {' '.join(readings[name].suffixes)}"
                )
            else:
                self._by_suffix[suffix.lower()] = name

    def modality(self, path: str) -> str | None:
        """None where no modality reads such files; RecipeError where several do."""
        suffix = suffix_of(path, self._suffixes)
        if suffix in self._by_suffix:
            return self._by_suffix[suffix]
        able = [name for name, part in self.readings.items() if suffix in part.suffixes]
        able = [name for name in self._preferred if name in able][:1] or able
        if len(able) > 1:
            options = " or ".join(f"--modality {suffix}={name}" for name in able)
            raise RecipeError(
                f"{path}: {' and '.join(able)} of this encoder read {suffix} files; say {options}, "
                f"or --modality {able[0]} for all suffixes that both read"
            )
        return able[0] if able else None

    def unknown(self, path: str, *, named: bool) -> NotEmbedded:
        known = "; ".join(
            f"{name} reads {' '.join(part.suffixes)}" for name, part in self.readings.items()
        )
        what = Path(path).suffix or "without a suffix"
        reason = f"no modality that the encoder has seen reads files {what}: {known}"
        return NotEmbedded(path=path, kind="unknown", reason=reason, named=named)
