"""How a run reads the files of one modality."""

from pathlib import Path
from typing import TypeVar

from omnimask.data.folders import FolderFiles
from omnimask.recipe.recipe import Recipe

F = TypeVar("F")


def files_of(recipe: Recipe, modality: str, default: F) -> F:
    """The record of the first stream that reads the modality by one of `default`'s type."""
    for stream in recipe.data.streams:
        found = stream.files.get(modality)
        if isinstance(found, type(default)):
            return found
    return default


def one_file(path: Path) -> FolderFiles:
    """A single file as a folder's list, without looking at its neighbours."""
    return FolderFiles(folder=str(path.parent), names=(path.name,), labels="none")
