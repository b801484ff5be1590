"""What is particular to dBOT: two stages, a teacher that stands still in each."""

from pathlib import Path

import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.teacher import SnapshotTeacher
from omnimask.training.fitting import fit
from omnimask.training.step import MaskedModel, build_model
from recipes.dbot import base
from tests.recipes.catalogue import first_batch, load, step_loss


def weights(model: MaskedModel, prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): value.clone()
        for name, value in model.state_dict().items()
        if name.startswith(prefix)
    }


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert set(one) == set(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_teacher_becomes_the_student_and_the_student_begins_anew(few_files: Path):
    recipe = fit(load("recipes.dbot:debug", few_files))
    model = build_model(recipe)
    start, first_head = weights(model, "backbone."), weights(model, "heads.")
    assert_same(weights(model, "teacher.backbone."), start)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    learnt = weights(model, "backbone.")
    model.after_step(1 / 4)
    assert_same(weights(model, "teacher.backbone."), start)
    assert_same(weights(model, "backbone."), learnt)
    model.after_step(2 / 4)  # the first stage is over
    assert_same(weights(model, "teacher.backbone."), learnt)
    anew = build_model(recipe, stage=1)
    assert_same(weights(model, "backbone."), weights(anew, "backbone."))
    assert_same(weights(model, "decoders."), weights(anew, "decoders."))
    second_head = weights(model, "heads.")
    assert not torch.equal(*(w["image_features.weight"] for w in (first_head, second_head)))
    model.after_step(3 / 4)
    assert_same(weights(model, "teacher.backbone."), learnt)


def test_targets_are_normalised_block_outputs(few_files: Path):
    recipe = fit(load("recipes.dbot:debug", few_files))
    model = build_model(recipe)
    from omnimask.objectives.objective import Outcome

    (view,) = model.views(first_batch(recipe))
    truth = model.truths(view, Outcome())["image_features"]
    torch.testing.assert_close(truth.mean(-1), torch.zeros_like(truth[..., 0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(truth.std(-1), torch.ones_like(truth[..., 0]), atol=0.01, rtol=0)
    assert step_loss(model, first_batch(recipe)).isfinite()


def test_the_published_stages():
    recipe = base()
    assert isinstance(recipe.teacher, SnapshotTeacher)
    steps = recipe.optim.steps
    begun = [step for step in range(steps + 1) if recipe.teacher.stage_begun(step, steps)]
    assert begun == [steps // 2]
    with pytest.raises(RecipeError, match="rising shares"):
        SnapshotTeacher(at=(0.5, 0.2))
