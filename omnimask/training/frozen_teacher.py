"""What the run folder of a frozen teacher tells of it, before any network is built."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from omnimask.decoders import Decoder, HasCodebook
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import load
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import FrozenTeacher
from omnimask.tokens.modality import Modality
from omnimask.training.checkpoint import (
    ENCODER_INFO,
    ENCODER_WEIGHTS,
    last_checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_recipe,
    read_saved,
)
from omnimask.training.tensor_parts import load_tensors


def fill_frozen(teacher: FrozenTeacher) -> FrozenTeacher:
    """The record with what its folder tells, a run's or an encoder's. RecipeError where there is
    none, or none with such a codebook.
    """
    if teacher.is_filled:
        return teacher
    folder = encoder_folder_of(teacher)
    if folder is not None:
        return _fill_from_encoder(teacher, folder)
    recipe = load_recipe(checkpoint_of(teacher))
    codebook = None if teacher.decoder is None else _codebook_of(teacher.decoder, teacher, recipe)
    return replace(teacher, encoder=recipe.encoder, modalities=recipe.modalities, codebook=codebook)


def encoder_folder_of(teacher: FrozenTeacher) -> Path | None:
    """Its folder, where that holds an encoder alone and not a run."""
    folder = Path(teacher.run or "")
    return folder if teacher.run and (folder / ENCODER_INFO).is_file() else None


def frozen_weights(teacher: FrozenTeacher) -> dict[str, Tensor]:
    """The weights in its folder, by their names in a run."""
    folder = encoder_folder_of(teacher)
    if folder is not None:
        return load_tensors(folder / ENCODER_WEIGHTS)
    return load_checkpoint(checkpoint_of(teacher)).weights


def _fill_from_encoder(teacher: FrozenTeacher, folder: Path) -> FrozenTeacher:
    if teacher.decoder is not None:
        raise RecipeError(
            f"teacher.decoder={teacher.decoder!r}: {folder} holds an encoder without decoders; "
            "name the folder of a run that trained a codebook in teacher.run"
        )
    saved = read_saved(folder / ENCODER_INFO)
    saved.pop("hash", None)
    info = load(saved, str(folder / ENCODER_INFO))
    return replace(teacher, encoder=info.encoder, modalities=info.modalities)


def _codebook_of(name: str, teacher: FrozenTeacher, recipe: Recipe) -> Decoder:
    """The decoder `name` of the teacher's own `recipe`, which must have a codebook."""
    with_codes = {k: part for k, part in recipe.decoders.items() if isinstance(part, HasCodebook)}
    if name in with_codes:
        return with_codes[name]
    found = recipe.decoders.get(name)
    wrong = f"a {type(found).__name__} without a codebook" if found else "not in that run"
    fix = (
        f"write --set teacher.decoder={' or '.join(with_codes)}"
        if with_codes
        else "none of its decoders has a codebook; name a run with a QuantisedDecoder in "
        "teacher.run"
    )
    raise RecipeError(f"teacher.decoder {name!r} of teacher.run={teacher.run!r} is {wrong}; {fix}")


def checkpoint_of(teacher: FrozenTeacher) -> Path:
    """The last checkpoint of its run."""
    assert teacher.run is not None
    run = Path(teacher.run)
    if not run.is_dir():
        raise RecipeError(
            f"teacher.run: there is no run folder {run.absolute()}; pretrain the teacher first, or "
            "point --set teacher.run=... at a finished run"
        )
    if not list_checkpoints(run):
        raise RecipeError(
            f"teacher.run: {run.absolute()} has no checkpoint yet; expected checkpoints/step-* in "
            "it. Let that run go on, or point --set teacher.run=... at a finished run"
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
        _check_tokens(modality, other, str(teacher.run))


def _check_tokens(modality: Modality, other: Modality, run: str) -> None:
    """RecipeError unless both cut a sample alike; `other` is that of the teacher in `run`."""
    own = f"modalities.{modality.name}"
    if type(other) is not type(modality):
        raise RecipeError(
            f"{own} is a {type(modality).__name__}, the teacher in teacher.run={run!r} has a "
            f"{type(other).__name__} of that name; rename one, or name another teacher.run"
        )
    if (other.grid, other.num_tokens) != (modality.grid, modality.num_tokens):
        raise RecipeError(
            f"{own} has the grid {_grid(modality)}, the teacher in teacher.run={run!r} the grid "
            f"{_grid(other)}: their tokens do not correspond. Give {own} a size and patch with as "
            "many tokens on each axis, or name another teacher.run"
        )
    # The teacher cuts the student's samples: as many patches of another size need other samples.
    if modality.grid is not None and other.num_values != modality.num_values:
        raise RecipeError(
            f"{own} has {modality.num_values} values in a token, the teacher in "
            f"teacher.run={run!r} {other.num_values}: with the same grid it needs samples of "
            f"another size than the student reads. Give {own} the teacher's size and patch, or "
            "name another teacher.run"
        )


def _grid(modality: Modality) -> str:
    if modality.grid is None:
        return f"of {modality.num_tokens} tokens"
    return " × ".join(f"{axis}={size}" for axis, size in modality.grid.items())
