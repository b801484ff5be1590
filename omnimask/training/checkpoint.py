"""Checkpoints as they are found and read: folders that are whole or not there; nothing in them is
unpickled. `checkpoint_writer.py` writes them.

Each has `SHA256SUMS` over its files. One that is not as it was written is never read: a run that
goes on sets it aside and takes the one before.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from omnimask.foundation.checksums import NAME, find_damage
from omnimask.foundation.errors import DamageError, RecipeError
from omnimask.foundation.records import load
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.training.tensor_parts import has_parts, load_parts

# Of an encoder folder, which has no run around it (transfer/encoder_folder.py).
ENCODER_INFO, ENCODER_WEIGHTS = "encoder.json", "encoder.safetensors"

UNFINISHED, _DAMAGED = ".unfinished", ".damaged"

R = TypeVar("R")  # a RunRecipe; no bound, as checks at runtime cannot take a protocol's fields


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint(Generic[R]):
    """What a run needs to go on: `recipe` holds the fitted statistics, `state` the position."""

    recipe: R
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]


def list_checkpoints(run: Path) -> list[Path]:
    """The finished checkpoints of a run, oldest first, without those that were set aside."""
    found = (run / "checkpoints").glob("step-*")
    return sorted(path for path in found if not path.suffix)


def last_checkpoint(run: Path) -> Path:
    """The newest checkpoint; RecipeError where the folder has none."""
    checkpoints = list_checkpoints(run)
    if not checkpoints:
        raise RecipeError(f"{run} has no checkpoint; expected {run}/checkpoints/step-*")
    return checkpoints[-1]


def load_recipe(folder: Path) -> Recipe:
    """The recipe of pretraining beside the weights, statistics included.

    RecipeError where the checkpoint is of another kind of run.
    """
    return expect_kind(_any_recipe(folder), Recipe, folder)


def load_checkpoint(folder: Path) -> Checkpoint[Recipe]:
    """A checkpoint of pretraining; RecipeError where it is of another kind of run."""
    return load_checkpoint_of(folder, Recipe)


def load_checkpoint_of(folder: Path, kind: type[R]) -> Checkpoint[R]:
    """A checkpoint whose recipe is a `kind`; RecipeError where it is of another kind of run."""
    checkpoint = load_any_checkpoint(folder)  # first, or a damaged recipe would be a wrong one
    expect_kind(checkpoint.recipe, kind, folder)
    return checkpoint


def expect_kind(recipe: object, kind: type[R], folder: Path) -> R:
    """`recipe`, read from `folder`, as a `kind`, or RecipeError."""
    if not isinstance(recipe, kind):
        raise RecipeError(
            f"{folder} is of a run by a {type(recipe).__name__}, expected one by a "
            f"{kind.__name__}: pretraining writes a Recipe, fine-tuning a FinetuneRecipe; name "
            "another run folder"
        )
    return recipe


def load_any_checkpoint(folder: Path) -> Checkpoint[Any]:
    """A checkpoint of whatever kind of run; DamageError if a file is not as it was written.

    Those of format 1 have no checksums; they are damaged where they cannot be read.
    """
    saved = read_saved(folder / "recipe.json")
    has_sums = (folder / NAME).exists() or saved.get("format", 1) != 1
    if has_sums and (damage := find_damage(folder)):
        raise DamageError(f"{folder} is damaged: {damage}; copy it here again")
    state = read_saved(folder / "state.json")
    if folder.name.startswith("step-") and folder.name != name_of(state["step"]):
        raise DamageError(f"{folder} is of step {state['step']}; give it the name it had")
    return Checkpoint(
        recipe=load(saved, str(folder / "recipe.json")),
        weights=load_parts(folder, "model"),
        optimizer=load_parts(folder, "optimizer"),
        state=state,
    )


def sound_checkpoint(run: Path) -> tuple[Checkpoint[Any] | None, dict[Path, str]]:
    """The newest checkpoint that is as it was written, None for a run that has none yet; and the
    newer ones, which are damaged, with what is wrong.

    DamageError where there are checkpoints and none of them is sound.
    """
    damaged: dict[Path, str] = {}
    for folder in reversed(list_checkpoints(run)):
        try:
            return load_any_checkpoint(folder), damaged
        except DamageError as error:
            damaged[folder] = str(error)
    aside = {path: f"{path} was set aside" for path in run.glob(f"checkpoints/*{_DAMAGED}*")}
    if damaged or aside:
        raise DamageError(
            f"no checkpoint of {run} is as it was written ({'; '.join((damaged | aside).values())})"
            f"; or begin anew: remove {run / 'checkpoints'}, or choose another --out"
        )
    return None, {}


def set_aside(damaged: Path) -> Path:
    """Renames a damaged checkpoint, so that the one before it is the last; returns the new path."""
    names = (f"{damaged.name}{_DAMAGED}{number or ''}" for number in count())
    free = next(path for path in map(damaged.with_name, names) if not path.exists())
    return damaged.rename(free)


def _any_recipe(folder: Path) -> RunRecipe:
    path = folder / "recipe.json"
    return load(read_saved(path), str(path))


def read_saved(path: Path) -> dict[str, Any]:
    """The contents of a JSON file that we wrote; DamageError where it cannot be one."""
    try:
        saved = json.loads(path.read_text())
    except (OSError, ValueError) as error:  # UnicodeDecodeError and JSONDecodeError are of these
        raise DamageError(f"{path} cannot be read as JSON ({error}); copy it here again") from error
    if not isinstance(saved, dict):
        raise DamageError(f"{path} holds no JSON object, but {str(saved)[:40]!r}; copy it again")
    return saved


def is_checkpoint(folder: Path) -> bool:
    """Whether it has a recipe and weights."""
    return (folder / "recipe.json").exists() and has_parts(folder, "model")


def name_of(step: int) -> str:
    """Of the folder with the checkpoint after `step` steps."""
    return f"step-{step:08d}"


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


def write_json(path: Path, value: Any) -> None:
    """Writes JSON by way of a temporary file, so that the file is whole or the old one."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.replace(path)
