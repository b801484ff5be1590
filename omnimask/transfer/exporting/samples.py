"""Real samples for a parity check: held-out files of the run, or the user's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnimask.data.folders import suffix_of
from omnimask.data.reading import open_source, read_sample
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.modality import Files, Modality, Sample, Source, Visit
from omnimask.training.checkpoint import (
    is_checkpoint,
    last_checkpoint,
    list_checkpoints,
    load_recipe,
)
from omnimask.transfer.embedding.file_reader import readings_of
from omnimask.transfer.exporting.features import RealSamples, collate_samples

NUM_SAMPLES = 8
MOST_FILES = 64  # of the user's: listing the samples of a file may take reading it


def recipe_of(path: Path) -> Recipe | None:
    """The recipe, statistics included, of a run or checkpoint folder; None of an encoder folder."""
    if list_checkpoints(path):
        return load_recipe(last_checkpoint(path))
    if is_checkpoint(path):
        return load_recipe(path)
    return None


def run_samples(recipe: Recipe, modality: Modality, *, whole: bool) -> RealSamples:
    """Of the first stream with held-out files of the modality, or with any.

    `whole` takes only samples without padding. DataError where the files are not there.
    """
    held_out = [(s, s.held_out) for s in recipe.data.streams if s.held_out is not None]
    trained = [(s, s.files) for s in recipe.data.streams]
    for kind, places in (("held-out files", held_out), ("training files", trained)):
        for stream, files in places:
            if modality.name in files:
                source = open_source(files[modality.name], recipe.data.root, modality)
                return _take([source], modality, whole, f"{kind} of stream {stream.name}")
    raise RecipeError(
        f"the run has no files of {modality.name!r} to check the export on; give --samples PATHS"
    )


def path_samples(
    recipe: Recipe | None, modality: Modality, paths: Sequence[Path], *, whole: bool
) -> RealSamples:
    """Of the user's files and folders, read with the run's options where there is a run."""
    reading = readings_of([modality], _recorded(recipe, modality))[modality.name]
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"there is no {path.absolute()}; name files or folders in --samples")
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in inside if suffix_of(file, reading.suffixes) in reading.suffixes]
    origin = ", ".join(str(path) for path in paths)
    if not found:
        expected = ", ".join(reading.suffixes)
        raise DataError(f"{origin} holds no {modality.name}; expected files ending in {expected}")
    sources = [reading.open(str(path)) for path in found[:MOST_FILES]]
    return _take(sources, modality, whole, origin)


def _recorded(recipe: Recipe | None, modality: Modality) -> dict[str, Files]:
    for stream in () if recipe is None else recipe.data.streams:
        for files in (stream.held_out or {}, stream.files):
            if modality.name in files:
                return {modality.name: files[modality.name]}
    return {}


def _take(sources: Sequence[Source], modality: Modality, whole: bool, origin: str) -> RealSamples:
    """Samples spread evenly over the sources, in the view that held-out samples have."""
    places = [(source, index) for source in sources for index in range(len(source))]
    spread = [np.linspace(0, len(places) - 1, n).round().astype(int) for n in (NUM_SAMPLES, 64)]
    samples = []
    for place in dict.fromkeys(np.concatenate(spread).tolist()):
        source, index = places[place]
        sample = read_sample(source, index, Visit(key=0, augment=False))
        if not whole or _is_whole(sample, modality):
            samples.append(sample)
        if len(samples) == NUM_SAMPLES:
            break
    if not samples:
        raise DataError(
            f"{modality.name}: none of the samples that were read fills all its "
            f"{modality.num_tokens} tokens, which this format takes; give longer ones in --samples"
        )
    return collate_samples(modality, samples, origin)


def _is_whole(sample: Sample, modality: Modality) -> bool:
    return modality.split(modality.collate([sample])).num_valid == (modality.num_tokens,)
