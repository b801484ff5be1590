"""Trained encoders from disk and to it: run folders, checkpoints and encoder folders.

An encoder folder has `encoder.json`, everything about the encoder but its weights, and
`encoder.safetensors`, the weights of its `PretrainedEncoder`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from omnimask.checkpoint import (
    Checkpoint,
    expect_kind,
    last_checkpoint,
    list_checkpoints,
    load_any_checkpoint,
    write_json,
)
from omnimask.errors import RecipeError
from omnimask.model import MaskedModel, build_model
from omnimask.pretrained import EncoderInfo, PretrainedEncoder
from omnimask.recipe import Recipe
from omnimask.records import from_json, to_json
from omnimask.teacher import Teacher

INFO, WEIGHTS = "encoder.json", "encoder.safetensors"
FORMAT = 1

Which = Literal["student", "teacher"]


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
        return _load_encoder_folder(folder)
    checkpoint = _checkpoint(path)
    if isinstance(checkpoint.recipe, Recipe):
        return encoder_of(checkpoint, which=which)
    from omnimask.finetuning.classifier import encoder_of_finetuned  # it loads encoders itself

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


def save_encoder(encoder: PretrainedEncoder, folder: Path) -> Path:
    """Writes an encoder folder; returns it. RecipeError where another encoder is there already."""
    if (folder / INFO).exists():
        raise RecipeError(f"{folder} already holds an encoder; name another folder, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: v.detach().cpu().contiguous() for name, v in encoder.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    # Last, so that a folder with the one has the other.
    write_json(folder / INFO, {"format": FORMAT, "hash": encoder.hash(), **to_json(encoder.info)})
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


def fill_weights(module: nn.Module, weights: Mapping[str, Tensor], *, source: str) -> None:
    """Loads weights that must fit exactly; RecipeError naming what does not."""
    own = module.state_dict()
    missing, unexpected = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    reshaped = [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(own[name].shape)}"
        for name in sorted(own.keys() & weights.keys())
        if weights[name].shape != own[name].shape
    ]
    if missing or unexpected or reshaped:
        raise RecipeError(
            f"{source}: the weights do not fit: missing {missing[:3]}, unexpected "
            f"{unexpected[:3]}, of another shape {reshaped[:3]}. They were probably written by "
            "another version of omnimask: load them with that one"
        )
    module.load_state_dict(dict(weights))


def _checkpoint(path: Path) -> Checkpoint[Any]:
    if not path.exists():
        raise RecipeError(f"there is no {path.absolute()}; expected a run or an encoder folder")
    if (path / "recipe.json").exists() and (path / "model.safetensors").exists():
        return load_any_checkpoint(path)
    if list_checkpoints(path):
        return load_any_checkpoint(last_checkpoint(path))
    raise RecipeError(
        f"{path.absolute()} has no checkpoint: it is neither a run folder (checkpoints/step-*), "
        f"nor a checkpoint (recipe.json), nor an encoder folder ({INFO})"
    )


def _load_encoder_folder(folder: Path) -> PretrainedEncoder:
    saved = json.loads((folder / INFO).read_text())
    found = saved.pop("format", None)
    saved.pop("hash", None)
    if found != FORMAT:
        raise RecipeError(
            f"{folder / INFO} has format {found}, this version of omnimask reads {FORMAT}; export "
            "the encoder again with this version, or load it with the one that wrote it"
        )
    encoder = PretrainedEncoder(from_json(saved))
    fill_weights(encoder, load_file(folder / WEIGHTS), source=str(folder))
    return encoder
