"""Trained encoders and models from disk: run folders, checkpoints and encoder folders."""

from pathlib import Path
from typing import Any

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import (
    Checkpoint,
    expect_kind,
    fill_weights,
    is_checkpoint,
    last_checkpoint,
    list_checkpoints,
    load_any_checkpoint,
)
from omnimask.training.step import MaskedModel, build_model
from omnimask.transfer.encoder_folder import INFO, WEIGHTS, Which, encoder_of, read_encoder_folder
from omnimask.transfer.finetuning.classifier import encoder_of_finetuned
from omnimask.transfer.pretrained_encoder import PretrainedEncoder


def load_encoder(path: Path | str, *, which: Which = "student") -> PretrainedEncoder:
    """The encoder of a run folder (its last checkpoint), a checkpoint folder, or an encoder folder
    (or the `.safetensors` file in one). On the CPU, in evaluation mode.

    `which`: "teacher" takes the EMA of the student instead, from a run that has one. RecipeError
    where there is none of these, or where it was written by another version and does not fit.
    """
    path = Path(path)
    folder = path.parent if path.name == WEIGHTS else path
    if (folder / INFO).exists():
        if which == "teacher":
            raise RecipeError(f"{path} is an encoder without a teacher; leave `which` out")
        return read_encoder_folder(folder)
    checkpoint = _checkpoint(path)
    if isinstance(checkpoint.recipe, Recipe):
        return encoder_of(checkpoint, which=which)
    if which == "teacher":
        raise RecipeError(f"{path} is a fine-tuning run, which has no teacher; leave `which` out")
    return encoder_of_finetuned(checkpoint)


def load_model(path: Path | str) -> MaskedModel:
    """The whole trained model of a run or checkpoint folder, in evaluation mode.

    RecipeError where there is none, and for a file that has an encoder only.
    """
    path = Path(path)
    if (path / INFO).exists() or path.name == WEIGHTS:
        raise RecipeError(
            f"{path} holds an encoder only, which cannot reconstruct: its decoders were left out "
            "when it was exported. Name the run folder that it came from"
        )
    checkpoint = _checkpoint(path)
    expect_kind(checkpoint.recipe, Recipe, path)
    model = build_model(checkpoint.recipe)
    fill_weights(model, checkpoint.weights, source=str(path))
    return model.eval()


def _checkpoint(path: Path) -> Checkpoint[Any]:
    if not path.exists():
        raise RecipeError(f"there is no {path.absolute()}; expected a run or an encoder folder")
    if is_checkpoint(path):
        return load_any_checkpoint(path)
    if list_checkpoints(path):
        return load_any_checkpoint(last_checkpoint(path))
    raise RecipeError(
        f"{path.absolute()} has no checkpoint: it is neither a run folder (checkpoints/step-*), "
        f"nor a checkpoint (recipe.json), nor an encoder folder ({INFO})"
    )
