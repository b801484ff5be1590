"""Teachers beside EMA features: another run's encoder, and hints for maskers."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from omnimask.commands.pretrain import train
from omnimask.decoders import SelfAttentionDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.masking import Copies, GuidedMask, PerModality, RandomMask
from omnimask.masking.full import full_plan
from omnimask.network.encoder import Encoder
from omnimask.objectives.late_targets import LossOf, OtherCopy
from omnimask.objectives.objective import Objective, Outcome, mse, ranking
from omnimask.objectives.targets import Pooled, TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import FrozenTeacher, Teacher
from omnimask.training.checkpoint import last_checkpoint, load_checkpoint
from omnimask.training.step import build_model
from tests.unit.runs import assert_same_weights, train_until
from tests.unit.toy_recipe import TOYS, first_batch, loss_of, toy_recipe


def distilling(run: Path | None) -> Recipe:
    """Two toy modalities learn the features of another run's encoder, which is wider."""
    objectives = tuple(
        Objective(
            name=f"{toy.name}_features",
            modality=toy.name,
            target=TeacherFeatures(layers=(0, -2)),
            loss=mse,
        )
        for toy in TOYS
    )
    teacher = FrozenTeacher(run=None if run is None else str(run))
    return replace(toy_recipe(), objectives=objectives, teacher=teacher)


def guided() -> Recipe:
    """Each modality predicts its own losses, and hides what its teacher thinks hard."""
    recipe = toy_recipe()
    hard = tuple(
        Objective(
            name=f"{toy.name}_hard",
            modality=toy.name,
            target=LossOf(objective=f"{toy.name}_content"),
            loss=ranking,
            decoder="judge",
        )
        for toy in TOYS
    )
    masks = {toy.name: GuidedMask(ratio=0.5, hint=f"{toy.name}_hard", stop=1.0) for toy in TOYS}
    return replace(
        recipe,
        masker=PerModality(masks=masks),
        decoders={**recipe.decoders, "judge": SelfAttentionDecoder(width=8, depth=1, num_heads=2)},
        objectives=(*recipe.objectives, *hard),
        teacher=Teacher(decay=0.9),
    )


@pytest.fixture(scope="module")
def teacher_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("teacher") / "run"
    recipe = replace(toy_recipe(), encoder=Encoder(width=24, depth=3, num_heads=2))
    train(replace(recipe, optim=replace(recipe.optim, steps=2, warmup_steps=0)), run)
    return run


def test_a_frozen_teacher_gives_the_features_of_its_run(teacher_run: Path, tmp_path: Path):
    train(distilling(teacher_run), tmp_path / "run")
    checkpoint = load_checkpoint(last_checkpoint(tmp_path / "run"))
    source = load_checkpoint(last_checkpoint(teacher_run)).weights
    for name, value in source.items():
        if name.startswith("backbone."):
            assert torch.equal(checkpoint.weights[f"teacher.{name}"], value), name
    model = build_model(checkpoint.recipe)
    assert model.heads["toy_features"].out_features == 24, "as wide as the teacher"


def test_a_started_run_does_not_need_its_teachers_folder(
    teacher_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(teacher_run, tmp_path / "teacher")
    recipe = distilling(tmp_path / "teacher")
    train(recipe, tmp_path / "whole")
    train_until(recipe, tmp_path / "killed", 5, monkeypatch)
    shutil.rmtree(tmp_path / "teacher")
    train(recipe, tmp_path / "killed")
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")


def test_targets_get_the_layers_that_they_name():
    target = TeacherFeatures(layers=(-2, 0, -1))
    objectives = [replace(o, target=target) for o in distilling(None).objectives]
    model = build_model(replace(distilling(None), objectives=tuple(objectives)))
    assert model.teacher is not None
    for view in model.views(first_batch(distilling(None))):
        shown = (view, full_plan(view.layout))
        (encoded,) = model.teacher.backbone([shown], layers=(-1, -2))
        for layer, packed in zip((0, -1, -2), encoded.visible, strict=True):
            assert torch.equal(view.teacher[layer][view.layout.valid], packed)
            assert (view.teacher[layer][~view.layout.valid] == 0).all()


def test_every_modality_is_asked_for_the_features_of_its_own_tokens():
    target = TeacherFeatures(layers=(0,), norm="none")
    objectives = [replace(o, target=target) for o in distilling(None).objectives]
    model = build_model(replace(distilling(None), objectives=tuple(objectives)))
    views = model.views(first_batch(distilling(None)))
    for view in views:
        truths = model.truths(view, Outcome())
        for span in view.layout.spans:
            own = view.teacher[0][:, span.start : span.stop]
            assert torch.equal(truths[f"{span.modality}_features"], own)


def test_a_teacher_stays_in_evaluation_while_the_student_trains():
    model = build_model(distilling(None)).train()
    assert model.backbone.training
    assert model.teacher is not None
    assert not any(module.training for module in model.teacher.modules())


def test_hints_are_the_teachers_predictions_for_every_token():
    model = build_model(guided()).eval()
    assert model.teacher is not None
    assert sorted(model.teacher.decoders) == ["judge"]
    for view in model.views(first_batch(guided())):
        assert view.hints is not None
        for name, hint in view.hints.items():
            span = [s for s in view.layout.spans if name.startswith(s.modality)]
            inside = torch.zeros_like(view.layout.valid)
            for part in span:
                inside[:, part.start : part.stop] = view.layout.valid[:, part.start : part.stop]
            assert (hint[~inside] == 0).all()
            assert (hint[inside] != 0).all()


def test_at_the_end_the_hardest_tokens_are_hidden():
    model = build_model(guided()).eval()
    (view,) = model.views(first_batch(guided())[:1])
    assert view.hints is not None
    (plan,) = model.masks(view, 1.0)
    hint = view.hints["toy_hard"]
    for row, count in enumerate(plan.num_predict):
        hidden = plan.predict_ids[row, :count].tolist()
        valid = [i for i in range(hint.shape[1]) if view.layout.valid[row, i]]
        hardest = sorted(valid, key=lambda i: -hint[row, i].item())[:count]
        assert sorted(hidden) == sorted(hardest)


def test_a_loss_predictor_learns_and_its_teacher_follows():
    model = build_model(guided()).train()
    sums = model(first_batch(guided())).sums
    assert sums["toy_hard"].count == sums["toy_content"].count
    loss_of(model, sums).backward()
    assert model.heads["toy_hard"].weight.grad.abs().sum() > 0
    assert all(not p.requires_grad for p in model.teacher.parameters())


def test_guided_runs_resume_bit_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train(guided(), tmp_path / "whole")
    train_until(guided(), tmp_path / "killed", 5, monkeypatch)
    train(guided(), tmp_path / "killed")
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")


def test_counts_ahead_hold_for_late_targets_too():
    recipe = consistent()
    for recipe in (guided(), consistent()):
        model, batch = build_model(recipe), first_batch(recipe)
        ahead = model.counts(batch, 0.0, model.hints(batch))
        for name, part in model(batch).sums.items():
            assert ahead[name] == part.count > 0, name


def consistent() -> Recipe:
    """Two masks of each sample whose decodings should agree."""
    recipe = toy_recipe()
    agree = tuple(
        Objective(name=f"{t.name}_agree", modality=t.name, target=OtherCopy(width=8), loss=mse)
        for t in TOYS
    )
    masker = Copies(masker=RandomMask(ratio=0.7), copies=2)
    return replace(recipe, masker=masker, objectives=(*recipe.objectives, *agree))


def test_pooled_features_are_the_mean_of_a_samples_tokens():
    recipe = distilling(None)
    pooled = replace(recipe.objectives[0], name="pooled", target=Pooled(target=TeacherFeatures()))
    whole = replace(recipe.objectives[0], target=TeacherFeatures())
    recipe = replace(recipe, objectives=(whole, pooled, recipe.objectives[1]))
    model = build_model(recipe)
    for view in model.views(first_batch(recipe)[:1]):
        truths = model.truths(view, Outcome())
        each, mean = truths["toy_features"], truths["pooled"]
        for row, count in enumerate(view.layout.spans[0].num_valid):
            expected = each[row, :count].mean(dim=0)
            torch.testing.assert_close(mean[row, 0], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": None}, "asks for the hint 'other_hard', which an EMA teacher predicts"),
        ({"teacher": FrozenTeacher()}, "recipe.teacher is FrozenTeacher; write teacher=Teacher"),
        (
            {"masker": GuidedMask(ratio=0.5, hint="toy_content")},
            "predicts 4 numbers per token",
        ),
        ({"masker": GuidedMask(ratio=0.5, hint="toy_herd")}, "did you mean toy_hard"),
        (
            {"objectives": guided().objectives[::-1]},
            r"LossOf \(objectives before it\): 'other_content' is unknown",
        ),
    ],
)
def test_hints_that_nobody_can_give_are_refused(change: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        replace(guided(), **change)


def test_agreement_needs_two_copies():
    with pytest.raises(RecipeError, match=r"write masker=Copies\(masker=..., copies=2\)"):
        replace(consistent(), masker=RandomMask(ratio=0.5))
    objectives = consistent().objectives
    wide = replace(objectives[-1], target=OtherCopy(width=9))
    with pytest.raises(RecipeError, match="write width=8"):
        replace(consistent(), objectives=(*objectives[:-1], wide))
