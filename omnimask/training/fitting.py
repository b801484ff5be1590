"""What a recipe leaves open until its data are seen: statistics, and what a frozen teacher is."""

from dataclasses import replace

from omnimask.data.reading import open_source
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data
from omnimask.recipe.teacher import FrozenTeacher
from omnimask.tokens.modality import Modality
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
    """Each with the statistics of its first stream's training files."""
    fitted = []
    for modality in modalities:
        files = next(s.files[modality.name] for s in data.streams if modality.name in s.files)
        fitted.append(modality.fit(open_source(files, data.root, modality)))
    return tuple(fitted)
