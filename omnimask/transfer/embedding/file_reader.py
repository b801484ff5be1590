"""How single files, wherever they lie, become samples of an encoder's modalities."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from omnimask.data.folders import FolderFiles
from omnimask.data.reading import named_errors
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Files, Modality, Source
from omnimask.training.checkpoint import last_checkpoint, list_checkpoints, load_recipe
from omnimask.transfer.modality_hooks import FILE_READERS, FileReader, find_hook, missing


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
        with named_errors(path):
            return self.reader.open(found, self.files, self.modality)


def readings_of(
    modalities: Collection[Modality], recorded: Mapping[str, Files] | None = None
) -> dict[str, Reading]:
    """By modality; one that does not say how single files are read is left out.

    `recorded` are Files records of a recipe, whose options (strides, columns) are then kept.
    """
    readings = {}
    for modality in modalities:
        reader = find_hook(modality, FILE_READERS)
        if reader is None:
            continue
        files = (recorded or {}).get(modality.name)
        known = files is not None and isinstance(files, reader.files)
        readings[modality.name] = Reading(
            modality=modality, reader=reader, files=files if known and files else reader.files()
        )
    if not readings:
        raise RecipeError("; ".join(missing(modality, FILE_READERS) for modality in modalities))
    return readings


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
