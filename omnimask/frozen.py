"""What the run folder of a frozen teacher tells of it, before any network is built."""

from dataclasses import replace
from pathlib import Path

from omnimask.checkpoint import last_checkpoint, load_recipe
from omnimask.errors import RecipeError, nearest_names
from omnimask.modality import Modality
from omnimask.recipe import Recipe
from omnimask.teacher import FrozenTeacher


def fill_frozen(teacher: FrozenTeacher) -> FrozenTeacher:
    """The record with what its run folder tells. RecipeError where there is no such run."""
    if teacher.is_filled:
        return teacher
    recipe = load_recipe(checkpoint_of(teacher))
    codebook = None
    if teacher.decoder is not None:
        if teacher.decoder not in recipe.decoders:
            raise RecipeError(
                f"teacher.decoder: {teacher.run} has no decoder {teacher.decoder!r}; "
                f"{nearest_names(teacher.decoder, recipe.decoders)}"
            )
        codebook = recipe.decoders[teacher.decoder]
    return replace(teacher, encoder=recipe.encoder, modalities=recipe.modalities, codebook=codebook)


def checkpoint_of(teacher: FrozenTeacher) -> Path:
    """The last checkpoint of its run."""
    assert teacher.run is not None
    run = Path(teacher.run)
    if not run.is_dir():
        raise RecipeError(
            f"teacher.run: there is no run folder {run}; pretrain the teacher first, or point "
            "--set teacher.run=... at a finished run"
        )
    return last_checkpoint(run)


def check_grids(recipe: Recipe) -> None:
    """RecipeError unless the teacher cuts each of the student's modalities into the same tokens."""
    teacher = recipe.teacher
    if not isinstance(teacher, FrozenTeacher) or teacher.run is None:
        return
    known = {modality.name: modality for modality in teacher.modalities}
    for modality in recipe.modalities:
        other = known.get(modality.name)
        if other is None:
            raise RecipeError(
                f"teacher.run: {teacher.run} never saw {modality.name!r}; it knows "
                f"{', '.join(sorted(known))}. Train a teacher on it, or rename the modality"
            )
        if (other.grid, other.num_tokens) != (modality.grid, modality.num_tokens):
            raise RecipeError(
                f"modalities.{modality.name} has the grid {_grid(modality)}, the teacher in "
                f"{teacher.run} the grid {_grid(other)}: their tokens do not correspond. Choose "
                "size and patch so that both have as many tokens on each axis"
            )


def _grid(modality: Modality) -> str:
    if modality.grid is None:
        return f"of {modality.num_tokens} tokens"
    return " × ".join(f"{axis}={size}" for axis, size in modality.grid.items())
