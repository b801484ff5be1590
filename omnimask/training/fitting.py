"""What a recipe leaves open until its data are seen: statistics, and what a frozen teacher is."""

from dataclasses import replace

from omnimask.data.reading import open_source, read_sample
from omnimask.foundation.errors import DataError
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data
from omnimask.recipe.teacher import FrozenTeacher
from omnimask.tokens.modality import Label, Modality, Sample, Source, Visit
from omnimask.training.frozen_teacher import check_grids, fill_frozen


def fit(recipe: Recipe) -> Recipe:
    """The recipe with every modality's statistics measured on its first stream's training files.

    A frozen teacher is filled with what its run tells of it.

    RecipeError where the teacher cuts a modality into other tokens.
    """
    teacher = recipe.teacher
    if isinstance(teacher, FrozenTeacher):
        teacher = fill_frozen(teacher)
    modalities = fit_modalities(recipe.modalities, recipe.data)
    recipe = replace(recipe, modalities=modalities, teacher=teacher)
    check_grids(recipe)
    return recipe


def fit_modalities(modalities: tuple[Modality, ...], data: Data) -> tuple[Modality, ...]:
    """Each with the statistics of its first stream's training files.

    With `data.max_bad_files` one that cannot be read is replaced by the next that can.
    """
    fitted = []
    for modality in modalities:
        files = next(s.files[modality.name] for s in data.streams if modality.name in s.files)
        source = open_source(files, data.root, modality)
        try:
            fitted.append(modality.fit(source))
        except DataError:
            if not data.max_bad_files:
                raise
            fitted.append(modality.fit(_Readable(source, data.max_bad_files)))
    return tuple(fitted)


class _Readable:
    """A source in whose place of a bad file the next good one stands, `most` bad ones at most."""

    def __init__(self, source: Source, most: int) -> None:
        self._source, self._most = source, most
        self._bad: set[int] = set()

    def __len__(self) -> int:
        return len(self._source)

    def name(self, index: int, /) -> str:
        return self._source.name(index)

    def label(self, index: int, /) -> Label:
        return self._source.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        for place in range(index, index + len(self)):
            place %= len(self)
            if place in self._bad:
                continue
            try:
                return read_sample(self._source, place, visit)
            except DataError:
                self._bad.add(place)
                if len(self._bad) > self._most:
                    raise
        raise DataError(f"{self.name(index)}: none of the files can be read")
