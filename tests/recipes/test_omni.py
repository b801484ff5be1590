"""The mixed recipes on real files of all six modalities."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from omnimask.batch import Group
from omnimask.data import Shard, Steps, fit, open_streams
from omnimask.encoder import Encoder
from omnimask.model import MaskedModel, build_model
from omnimask.objective import total_loss
from omnimask.optim import build_optimizer
from omnimask.recipe import Recipe, Stream
from recipes.omni import debug, omni, quickstart
from tests.sync_watch import SyncWatch

SMALL = Encoder(width=48, depth=2, num_heads=2)


def small(make: Callable[[], Recipe], root: Path) -> Recipe:
    """The recipe with its own parts, at the debug recipe's batch and encoder size."""
    recipe = make()
    streams = tuple(replace(s, batch_size=3) for s in recipe.data.streams)
    data = replace(recipe.data, root=str(root), streams=streams)
    return replace(recipe, data=data, encoder=SMALL, run=debug().run)


@pytest.fixture(scope="module", params=[quickstart])
def recipe(request: pytest.FixtureRequest, sample_data: Path) -> Recipe:
    return fit(small(request.param, sample_data))


@pytest.fixture(scope="module")
def batch(recipe: Recipe) -> tuple[Group, ...]:
    return Steps(recipe, open_streams(recipe), Shard())[0].micro[0]


def step_loss(model: MaskedModel, batch: tuple[Group, ...]) -> torch.Tensor:
    sums = model(batch).sums
    weights = {objective.name: objective.weight for objective in model.recipe.objectives}
    return total_loss(sums, {name: part.count for name, part in sums.items()}, weights)


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


def test_the_loss_falls_on_one_repeated_batch(recipe: Recipe, batch: tuple[Group, ...]):
    model = build_model(recipe).train()
    optimizer = build_optimizer(model, replace(recipe.optim, lr=3e-3))
    values = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = step_loss(model, batch)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.8 * values[0]


def test_every_parameter_learns(recipe: Recipe, batch: tuple[Group, ...]):
    model = build_model(recipe)
    step_loss(model, batch).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("teacher."):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


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


def test_masks_have_the_ratio_that_the_recipe_says(recipe: Recipe, batch: tuple[Group, ...]):
    model = build_model(recipe)
    for group in batch:
        view = model.views([group])[0]
        (plan,) = model.masks(view, 0.0)
        shown = torch.zeros_like(view.layout.valid)
        shown.scatter_(1, plan.visible_ids, plan.visible_ok)
        assert (view.layout.valid | ~shown).all(), "only valid tokens are shown"
        for span in view.layout.spans:
            ratio = recipe.masker.masks[span.modality].ratio
            inside = shown[:, span.start : span.stop].sum(dim=1).tolist()
            for count, valid in zip(inside, span.num_valid):
                assert abs(count - (1 - ratio) * valid) <= max(1.0, 0.05 * valid)


def test_the_step_never_waits_for_the_device(recipe: Recipe, batch: tuple[Group, ...]):
    model = build_model(recipe)
    with SyncWatch() as watch:
        step_loss(model, batch).backward()
    assert not watch.waits, watch.report()


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
        objectives=tuple(o for o in recipe.objectives if o.modality in keep),
        data=replace(recipe.data, root=str(sample_data), streams=streams),
        encoder=SMALL,
    )
    recipe = fit(recipe)
    batch = Steps(recipe, open_streams(recipe), Shard())[0].micro[0]
    assert step_loss(build_model(recipe), batch).isfinite()
