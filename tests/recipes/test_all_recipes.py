"""What holds for every recipe that comes along, at its debug size, on real files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from omnimask.commands.pretrain import train
from omnimask.foundation.records import from_json, to_json
from omnimask.masking import JointBudget
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim
from omnimask.tokens.tokens import Group, Layout
from omnimask.training.checkpoint import load_recipe
from omnimask.training.fitting import fit
from omnimask.training.optimisation import build_optimizer, set_schedules
from omnimask.training.step import MaskedModel, build_model
from tests.recipes.catalogue import (
    DEBUG,
    MIXED,
    REFERENCES,
    fields_called,
    first_batch,
    load,
    places,
    shown_of,
    step_loss,
)
from tests.sync_watch import SyncWatch
from tests.unit.runs import assert_same_weights, losses, train_until

METHODS = (
    *("mae", "simmim", "beit2", "vqkd", "data2vec2", "vjepa", "crossmae", "capi", "hpm"),
    *("colormae", "maskdistill", "videomae", "audiomae", "mwmae", "pointmae", "pointcmae"),
    *("voxelmae", "remasker", "multimae", "hiendmae", "mamp", "mff", "beit", "dbot", "localmim"),
    *("maest", "cratemae", "uta", "eva02", "mask3d", "fgmae"),
)


def test_every_method_has_a_recipe():
    files = {reference.partition(":")[0] for reference in DEBUG}
    assert {f"recipes.{method}" for method in METHODS} <= files


@pytest.mark.parametrize("reference", REFERENCES)
def test_every_size_is_a_valid_recipe_and_survives_json(reference: str, tmp_path: Path):
    recipe = load(reference, tmp_path)
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


def with_marks(reference: str):
    """The mixed recipes have seven streams and take seven times as long."""
    return pytest.param(reference, marks=[pytest.mark.slow] if reference in MIXED else [])


@pytest.fixture(scope="module", params=map(with_marks, DEBUG))
def recipe(request: pytest.FixtureRequest, few_files: Path) -> Recipe:
    return fit(load(request.param, few_files))


@pytest.fixture(scope="module")
def batch(recipe: Recipe) -> tuple[Group, ...]:
    """Two samples of each stream of the mixed recipes, since seven streams make a batch."""
    count = 2 if len(recipe.data.streams) > 1 else None
    streams = [replace(s, batch_size=count or s.batch_size) for s in recipe.data.streams]
    return first_batch(replace(recipe, data=replace(recipe.data, streams=tuple(streams))))


@pytest.fixture
def model(recipe: Recipe) -> MaskedModel:
    return build_model(recipe).eval()


def test_hidden_content_never_reaches_the_encoder(model: MaskedModel, batch: Sequence[Group]):
    for view in model.views(batch):
        for plan in model.masks(view, 0.0):
            (before,) = model.encode([view], [[plan]])
            shown = shown_of(plan, view.layout.valid.shape[1])
            # A token that one copy shows is not hidden from the sample.
            shown = shown.unflatten(0, (-1, plan.copies)).any(dim=1)
            tokens = {}
            for span in view.layout.spans:
                part = view.tokens[span.modality]
                hidden = ~shown[:, span.start : span.stop, None]
                noise = torch.rand_like(part.values) * hidden
                tokens[span.modality] = replace(part, values=part.values + noise)
            (after,) = model.encode([replace(view, tokens=tokens)], [[plan]])
            assert torch.equal(before.visible[0], after.visible[0])


def test_invalid_is_never_shown_and_unscorable_never_asked(
    model: MaskedModel, batch: Sequence[Group]
):
    for view in model.views(batch):
        for plan in model.masks(view, 0.5):
            layout = view.layout.repeat(plan.copies)
            num_tokens = layout.valid.shape[1]
            asked = places(plan.predict_ids, plan.predict_ok, num_tokens)
            assert not (shown_of(plan, num_tokens) & ~layout.valid).any()
            assert not (asked & ~layout.scorable).any()
            assert asked.sum(dim=1).tolist() == list(plan.num_predict)


def expected_hidden(recipe: Recipe, layout: Layout, modality: str) -> float | None:
    """The ratio that the recipe's masker states for a modality, None where it states none."""
    masker = recipe.masker
    masks = next(fields_called(masker, "masks"), None)
    if isinstance(masks, dict):
        masker = masks[modality]
    ratios = list(fields_called(masker, "ratio"))
    return ratios[0] if len(ratios) == 1 else None


def test_the_mask_ratio_is_what_the_recipe_says(model: MaskedModel, batch: Sequence[Group]):
    for view in model.views(batch):
        for plan in model.masks(view, 0.0):
            shown = shown_of(plan, view.layout.valid.shape[1])
            if isinstance(model.recipe.masker, JointBudget):
                assert shown.sum(dim=1).tolist() == list(plan.num_visible)
                continue
            for span in view.layout.repeat(plan.copies).spans:
                counts = shown[:, span.start : span.stop].sum(dim=1).tolist()
                ratio = expected_hidden(model.recipe, view.layout, span.modality)
                for count, valid in zip(counts, span.num_valid, strict=True):
                    if ratio is None:  # blocks of a share: alike for samples of one size
                        assert 0 < count <= valid
                    else:  # exact, but for cells of several tokens at the edge of a ragged sample
                        assert abs(count - (1 - ratio) * valid) <= max(2.0, 0.07 * valid)


def after_one_step_of_adamw(name: str, before: Tensor, gradient: Tensor, optim: Optim) -> Tensor:
    """From a state of zero the step is the rate in each weight, against its gradient."""
    bare = before.ndim < 2 or name.endswith("prefix") or name.startswith("targets.")
    decayed = before * (1.0 if bare else 1.0 - optim.lr * optim.weight_decay)
    return decayed - optim.lr * gradient / (gradient.abs() + 1e-8)


def test_the_loss_falls_on_one_repeated_batch_by_steps_of_adamw(
    recipe: Recipe, batch: Sequence[Group]
):
    model = build_model(recipe).train()
    targets = replace(recipe.optim.targets, lr=2e-3)
    optim = replace(recipe.optim, lr=2e-3, clip_norm=None, targets=targets)
    optimizer, values = build_optimizer(model, optim), []
    set_schedules(optimizer, replace(optim, warmup_steps=0), 0)
    for number in range(14):
        optimizer.zero_grad()
        loss = step_loss(model, batch)
        loss.backward()
        before = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
        optimizer.step()
        if number == 0:
            for name, value in before.items():
                parameter = model.get_parameter(name)
                assert parameter.grad is not None, name
                expected = after_one_step_of_adamw(name, value, parameter.grad, optim)
                torch.testing.assert_close(parameter.detach(), expected, msg=name)
        values.append(loss.item())
    assert min(values[-3:]) < 0.95 * values[0], values


def test_gradients_reach_what_is_trained_and_nothing_else(recipe: Recipe, batch: Sequence[Group]):
    model = build_model(recipe).train()
    step_loss(model, batch).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("teacher."):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_the_step_never_waits_for_the_device(model: MaskedModel, batch: Sequence[Group]):
    model.train()
    with SyncWatch() as watch:
        step_loss(model, batch).backward()
    assert not watch.waits, watch.report()


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_equal(
    recipe: Recipe,
    whole_run: Callable[[str], Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    whole = whole_run(request.node.callspec.params["recipe"])
    train_until(recipe, tmp_path, 3, monkeypatch)
    train(recipe, tmp_path)
    assert_same_weights(whole, tmp_path)
    assert losses(whole) == losses(tmp_path)
    saved = load_recipe(next((whole / "checkpoints").glob("step-*")))
    assert saved == recipe
