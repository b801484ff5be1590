"""The debug sizes of all recipes on the test's sample data."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from omnimask.data.streams import Shard, Steps, open_streams
from omnimask.foundation.records import children
from omnimask.masking.plan import MaskPlan
from omnimask.recipe.catalogue import find_recipes
from omnimask.recipe.loading import load_named_recipe
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.tokens import Group
from omnimask.training.step import MaskedModel
from recipes.small import debug_size

REFERENCES = tuple(entry.reference for entry in find_recipes())
MIXED = tuple(f"recipes.omni:{method}" for method in ("mae", "data2vec2", "vjepa", "capi"))
DEBUG = (*(name for name in REFERENCES if name.endswith(":debug")), *MIXED)


def load(reference: str, root: Path) -> Recipe:
    """The recipe on the given data; one of `MIXED` at its debug size."""
    recipe = load_named_recipe(reference)
    if reference in MIXED:
        recipe = debug_size(recipe)
    return replace(recipe, data=replace(recipe.data, root=str(root)))


def first_batch(recipe: Recipe) -> tuple[Group, ...]:
    return Steps(recipe, open_streams(recipe), Shard())[0].micro[0]


def step_loss(model: MaskedModel, batch: Sequence[Group]) -> torch.Tensor:
    weights = {objective.name: objective.weight for objective in model.recipe.objectives}
    return model(batch).loss(weights)


def places(ids: torch.Tensor, ok: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """Flags (r num_tokens) from a plan's ids."""
    flags = torch.zeros(len(ids), num_tokens + 1, dtype=torch.bool)
    flags.scatter_(1, torch.where(ok, ids, num_tokens), True)
    return flags[:, :num_tokens]


def shown_of(plan: MaskPlan, num_tokens: int) -> torch.Tensor:
    return places(plan.visible_ids, plan.visible_ok, num_tokens)


def fields_called(record: Any, name: str) -> Iterator[Any]:
    """Every value of a field with this name in a record and in all records inside it."""
    for key, child in children(record).items():
        if key == name:
            yield child
        yield from fields_called(child, name)
