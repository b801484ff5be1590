"""The mixed recipes on real files of all six modalities."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from omnimask.network.encoder import Encoder
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Stream
from omnimask.tokens.tokens import Group
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.omni import debug, omni, quickstart
from tests.recipes.catalogue import first_batch, step_loss

SMALL = Encoder(width=48, depth=2, num_heads=2)


def small(make: Callable[[], Recipe], root: Path) -> Recipe:
    """The recipe with its own parts, at the debug recipe's batch and encoder size."""
    recipe = make()
    streams = tuple(replace(s, batch_size=3) for s in recipe.data.streams)
    data = replace(recipe.data, root=str(root), streams=streams)
    return replace(recipe, data=data, encoder=SMALL, run=debug().run)


@pytest.fixture(scope="module")
def recipe(sample_data: Path) -> Recipe:
    return fit(small(quickstart, sample_data))


@pytest.fixture(scope="module")
def batch(recipe: Recipe) -> tuple[Group, ...]:
    return first_batch(recipe)


def test_the_step_holds_all_modalities_and_the_pair(batch: tuple[Group, ...]):
    assert [tuple(group.raw) for group in batch] == [
        ("image",),
        ("video",),
        ("audio",),
        ("points",),
        ("voxels",),
        ("table",),
        ("video", "audio"),
    ]


def test_a_mixed_step_equals_its_streams_one_by_one(recipe: Recipe, batch: tuple[Group, ...]):
    model = build_model(recipe)
    together = model(batch).sums
    apart: dict = {}
    for group in batch:
        for name, part in model([group]).sums.items():
            apart[name] = apart[name] + part if name in apart else part
    for name, part in together.items():
        torch.testing.assert_close(part.total, apart[name].total, atol=1e-5, rtol=1e-5)
        assert part.count == apart[name].count > 0


def test_the_large_recipe_builds_and_steps(sample_data: Path):
    """ViT-B on full-size inputs would take minutes here; its parts run at a small width."""
    recipe = omni()
    keep = {"image", "table", "points"}
    streams: tuple[Stream, ...] = tuple(
        replace(s, batch_size=2) for s in recipe.data.streams if set(s.files) <= keep
    )
    recipe = replace(
        recipe,
        modalities=tuple(m for m in recipe.modalities if m.name in keep),
        decoders={name: d for name, d in recipe.decoders.items() if name in keep},
        objectives=tuple(o for o in recipe.objectives if o.modality in keep),
        data=replace(recipe.data, root=str(sample_data), streams=streams),
        encoder=SMALL,
    )
    recipe = fit(recipe)
    assert step_loss(build_model(recipe), first_batch(recipe)).isfinite()
