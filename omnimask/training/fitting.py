"""What a recipe leaves open until its data are seen: statistics, and what a frozen teacher is."""

import os
from dataclasses import replace

from omnimask.data.alignment import OfFiles
from omnimask.data.kept import Columns, cache_folders, digest, is_cache_asked_for, keep
from omnimask.data.manifest import WORTH_KEEPING
from omnimask.data.measuring import WithWorkers
from omnimask.data.reading import open_source, read_sample
from omnimask.foundation.collective import HostMeeting, own_rank
from omnimask.foundation.errors import DataError, OmnimaskError
from omnimask.foundation.records import from_json, to_json
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data
from omnimask.recipe.teacher import FrozenTeacher
from omnimask.tokens.modality import Label, Modality, Sample, Source, Visit
from omnimask.training.frozen_teacher import check_grids, fill_frozen

_MEASURES = 1  # raise it when statistics are measured in another way: those that are kept are void


def fit(recipe: Recipe) -> Recipe:
    """The recipe with every modality's statistics measured on its first stream's training files.

    A frozen teacher is filled with what its run tells of it.

    RecipeError where the teacher cuts a modality into other tokens.
    """
    teacher = recipe.teacher
    if isinstance(teacher, FrozenTeacher):
        teacher = fill_frozen(teacher)
    workers = min(recipe.run.num_workers, os.cpu_count() or 1)
    modalities = fit_modalities(recipe.modalities, recipe.data, num_workers=workers)
    recipe = replace(recipe, modalities=modalities, teacher=teacher)
    check_grids(recipe)
    return recipe


def fit_modalities(
    modalities: tuple[Modality, ...], data: Data, *, num_workers: int = 0
) -> tuple[Modality, ...]:
    """Each with the statistics of its first stream's training files.

    With `data.max_bad_files` one that cannot be read is replaced by the next that can. Of several
    processes the first measures and tells the others. Statistics of many files are kept beside
    their manifest, and taken from there until the files or the records change.
    """
    meeting = HostMeeting()
    said: list[Modality] | OmnimaskError | None = None
    if own_rank() == 0:
        try:
            said = [_fit_one(modality, data, num_workers) for modality in modalities]
        except OmnimaskError as error:
            said = error
    (told,) = meeting.gather(said)
    if isinstance(told, OmnimaskError):
        raise told
    assert told is not None, "the first process has said something"
    return tuple(told)


def _fit_one(modality: Modality, data: Data, num_workers: int) -> Modality:
    files = next(s.files[modality.name] for s in data.streams if modality.name in s.files)
    source = open_source(files, data.root, modality)
    found = source.found if isinstance(source, OfFiles) else None
    if found is None or not found.fingerprint:
        return _measured(modality, source, data, num_workers)
    measured: list[Modality] = []

    def measure() -> Columns:
        measured.append(_measured(modality, source, data, num_workers))
        return Columns(arrays={}, about={"modality": to_json(measured[0])})

    many = len(found) >= WORTH_KEEPING or is_cache_asked_for()
    kept = keep(
        cache_folders(data.root) if many else [],
        digest("statistics", _MEASURES, to_json(modality), to_json(files), found.fingerprint),
        measure,
    )
    return measured[0] if measured else from_json(kept.about["modality"])


def _measured(modality: Modality, source: Source, data: Data, num_workers: int) -> Modality:
    try:
        return modality.fit(WithWorkers(source, num_workers))
    except DataError:
        if not data.max_bad_files:
            raise
        return modality.fit(WithWorkers(_Readable(source, data.max_bad_files), num_workers))


class _Readable:
    """A source in whose place of a bad file the next good one stands, `most` bad ones at most."""

    def __init__(self, source: Source, most: int) -> None:
        self.source, self._most = source, most
        self._bad: set[int] = set()

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int, /) -> str:
        return self.source.name(index)

    def label(self, index: int, /) -> Label:
        return self.source.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        for place in range(index, index + len(self)):
            place %= len(self)
            if place in self._bad:
                continue
            try:
                return read_sample(self.source, place, visit)
            except DataError:
                self._bad.add(place)
                if len(self._bad) > self._most:
                    raise
        raise DataError(f"{self.name(index)}: none of the files can be read")
