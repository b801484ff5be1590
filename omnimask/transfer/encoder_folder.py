"""Encoder folders: a trained encoder on disk, and the encoder inside a checkpoint.

An encoder folder has `encoder.json`, everything about the encoder but its weights, and
`encoder.safetensors`, the weights of its `PretrainedEncoder`; and `SHA256SUMS` over both.
"""

from pathlib import Path
from typing import Literal

from safetensors.torch import save_file

from omnimask.foundation.checksums import NAME, find_damage, write_checksums
from omnimask.foundation.errors import DamageError, RecipeError
from omnimask.foundation.records import dump, load
from omnimask.recipe.teacher import Teacher
from omnimask.training.checkpoint import ENCODER_INFO as INFO
from omnimask.training.checkpoint import ENCODER_WEIGHTS as WEIGHTS
from omnimask.training.checkpoint import (
    Checkpoint,
    fill_weights,
    read_saved,
    write_json,
)
from omnimask.training.tensor_parts import load_tensors
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder

Which = Literal["student", "teacher"]


def save_encoder(encoder: PretrainedEncoder, folder: Path) -> Path:
    """Writes an encoder folder; returns it. RecipeError where another encoder is there already."""
    if (folder / INFO).exists():
        raise RecipeError(f"{folder} already holds an encoder; name another folder, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: v.detach().cpu().contiguous() for name, v in encoder.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    # Last, so that a folder with the one has the other.
    write_json(folder / INFO, {**dump(encoder.info), "hash": encoder.hash()})
    write_checksums(folder)
    return folder


def encoder_of(checkpoint: Checkpoint, *, which: Which = "student") -> PretrainedEncoder:
    """The encoder of a checkpoint; RecipeError where a teacher is asked for and there is none."""
    recipe = checkpoint.recipe
    if which == "teacher" and not isinstance(recipe.teacher, Teacher):
        raise RecipeError(
            f"the run of {recipe.name!r} has no EMA teacher; take its student (which='student')"
        )
    origin = {
        "recipe": recipe.name,
        "steps": str(checkpoint.state["step"]),
        "weights": which,
        **{name: str(v) for name, v in checkpoint.state.get("versions", {}).items()},
    }
    encoder = PretrainedEncoder(
        EncoderInfo(
            name=recipe.name, modalities=recipe.modalities, encoder=recipe.encoder, origin=origin
        )
    )
    prefix = "teacher.backbone." if which == "teacher" else "backbone."
    weights = {
        f"backbone.{name.removeprefix(prefix)}": value
        for name, value in checkpoint.weights.items()
        if name.startswith(prefix)
    }
    weights.pop("backbone.mask_token", None)  # of hidden tokens, which an encoder does not have
    fill_weights(encoder, weights, source=recipe.name)
    return encoder


def read_encoder_folder(folder: Path) -> PretrainedEncoder:
    """The encoder in it; DamageError where a file is not as it was written, RecipeError where
    another version wrote it and it does not fit.
    """
    if (folder / NAME).exists() and (damage := find_damage(folder)):
        raise DamageError(f"{folder} is damaged: {damage}; copy it here again")
    saved = read_saved(folder / INFO)
    saved.pop("hash", None)
    encoder = PretrainedEncoder(load(saved, str(folder / INFO)))
    fill_weights(encoder, load_tensors(folder / WEIGHTS), source=str(folder))
    return encoder
