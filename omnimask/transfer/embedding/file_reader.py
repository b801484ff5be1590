"""How single files, wherever they lie, become samples of an encoder's modalities."""

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnimask.data.folders import FolderFiles
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Files, Modality, Source
from omnimask.training.checkpoint import last_checkpoint, list_checkpoints, load_recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReader:
    """What a modality's package says in `FILE_READERS` of its module `file_reader`.

    `modality` and `files` are the types of the records; `files()` reads without options.
    `suffixes` of a Files record are in lower case, with the dot. `open` makes the source of exactly
    the file in `found`. `in_rows`: a file holds many samples, whose names end in "#row 12".
    """

    modality: type
    files: type
    suffixes: Callable[[Any], Collection[str]]
    open: Callable[[FolderFiles, Any, Any], Source]
    in_rows: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How the files of one modality of an encoder are read."""

    modality: Modality
    reader: FileReader
    files: Files

    @property
    def suffixes(self) -> tuple[str, ...]:
        return tuple(sorted(self.reader.suffixes(self.files)))

    def open(self, path: str) -> Source:
        """One file; DataError where it is no such file (found now, or when it is read)."""
        found = FolderFiles(folder=str(Path(path).parent), names=(Path(path).name,), labels="none")
        return self.reader.open(found, self.files, self.modality)


def readings_of(
    modalities: Collection[Modality], recorded: Mapping[str, Files] | None = None
) -> dict[str, Reading]:
    """By modality; one whose package has no `file_reader` is left out.

    `recorded` are Files records of a recipe, whose options (strides, columns) are then kept.
    """
    readings = {}
    for modality in modalities:
        reader = file_reader_of(modality)
        if reader is None:
            continue
        files = (recorded or {}).get(modality.name)
        known = files is not None and isinstance(files, reader.files)
        readings[modality.name] = Reading(
            modality=modality, reader=reader, files=files if known and files else reader.files()
        )
    if not readings:
        names = ", ".join(modality.name for modality in modalities)
        raise RecipeError(
            f"it is not known how single files of {names} are read; a modality's package says so "
            "in FILE_READERS of its module file_reader"
        )
    return readings


def file_reader_of(modality: Modality) -> FileReader | None:
    """From the module `file_reader` of the modality's own package, if there is one."""
    package = type(modality).__module__.rpartition(".")[0]
    module = f"{package}.file_reader"
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        return None
    fitting = (r for r in found.FILE_READERS if isinstance(modality, r.modality))
    return next(fitting, None)


def recorded_files(path: Path) -> dict[str, Files]:
    """By modality, the held-out (else training) files of the first stream that has it alone, else
    of any; {} for an encoder folder, which does not say how files were read.
    """
    if list_checkpoints(path):
        path = last_checkpoint(path)
    if not (path / "recipe.json").exists():
        return {}
    recipe = load_recipe(path)
    found: dict[str, Files] = {}
    for stream in sorted(recipe.data.streams, key=lambda stream: len(stream.files)):
        for name, files in (stream.held_out or stream.files).items():
            found.setdefault(name, files)
    return found
