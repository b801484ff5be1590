"""A run is what a plain loop in twenty lines does: the same weights and losses, step by step."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import omnimask.training.loop as trainer
from omnimask.commands.pretrain import train
from omnimask.data.streams import Shard, Steps, open_streams
from omnimask.objectives.clusters import OnlineClusters
from omnimask.objectives.objective import Objective, TemperedCrossEntropy, mse
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import TargetOptim
from omnimask.recipe.teacher import Teacher
from omnimask.training.fitting import fit
from omnimask.training.optimisation import Training, _clip
from omnimask.training.step import MaskedModel, build_model
from tests.sync_watch import SyncWatch
from tests.unit.runs import known, losses, weights
from tests.unit.toy_recipe import TOYS, toy_recipe, with_teacher
from tests.unit.training.test_teacher_network import guided


def weighted() -> Recipe:
    """Objectives of very different weights, gradients that are clipped, and a decay that moves."""
    recipe = toy_recipe()
    first, second = recipe.objectives
    optim = replace(recipe.optim, clip_norm=0.05, weight_decay=0.3, final_weight_decay=0.1)
    return replace(
        recipe,
        objectives=(replace(first, weight=3.0), replace(second, weight=0.25)),
        optim=optim,
    )


def clustered() -> Recipe:
    """Prototypes that are trained beside the model, with a rate and betas of their own."""
    recipe = toy_recipe()
    objectives = [
        Objective(
            name=f"{toy.name}_clusters",
            modality=toy.name,
            target=OnlineClusters(num_prototypes=6, position_wise=False),
            loss=TemperedCrossEntropy(),
        )
        for toy in TOYS
    ]
    own = TargetOptim(lr=3e-3, betas=(0.5, 0.9))
    return replace(
        recipe,
        objectives=tuple(objectives),
        teacher=Teacher(decay=0.5, final_decay=0.9),
        optim=replace(recipe.optim, clip_norm=0.05, targets=own),
    )


def by_hand(recipe: Recipe) -> tuple[MaskedModel, list[float]]:
    """Plain AdamW on the summed losses; the model at the end and the losses on the way."""
    recipe, curve = fit(recipe), []
    model, optim = build_model(recipe).train(), recipe.optim
    warm = optim.warmup_steps
    steps = Steps(recipe, open_streams(recipe), Shard())
    own = [p for name, p in model.named_parameters() if not name.startswith("targets.")]
    own = [p for p in own if p.requires_grad]
    bare = [p for p in own if p.ndim < 2 or p is model.backbone.encoder.prefix]
    matrices = [p for p in own if all(p is not other for other in bare)]
    targets = list(model.targets.parameters())
    plain = {"betas": optim.betas, "weight_decay": 0.0}
    groups: list[dict[str, Any]] = [{"params": matrices, **plain}, {"params": bare, **plain}]
    if targets:
        groups.append({"params": targets, "weight_decay": 0.0, "betas": optim.targets.betas})
    optimizer = torch.optim.AdamW(groups, lr=optim.lr)
    weight = {objective.name: objective.weight for objective in recipe.objectives}
    for step in range(optim.steps):
        fall = 0.5 * (1 + math.cos(math.pi * max(step - warm, 0) / (optim.steps - warm)))
        rate = optim.final_lr + (optim.lr - optim.final_lr) * fall
        rate = min(rate, optim.lr * (step + 1) / warm)
        for group, peak in zip(optimizer.param_groups, (optim.lr, optim.lr, optim.targets.lr)):
            group["lr"] = rate * peak / optim.lr
        end = optim.final_weight_decay
        swing = 0.5 * (1 + math.cos(math.pi * step / optim.steps))
        decay = optim.weight_decay if end is None else end + (optim.weight_decay - end) * swing
        optimizer.param_groups[0]["weight_decay"] = decay
        sums = model(steps[step].micro[0], step / optim.steps).sums
        loss: Tensor = sum(
            (
                weight.get(n, 1.0) * part.total / part.count
                for n, part in sums.items()
                if part.count
            ),
            torch.zeros(()),
        )
        optimizer.zero_grad()
        loss.backward()
        for part in (own, targets):
            torch.nn.utils.clip_grad_norm_(part, optim.clip_norm or math.inf)
        optimizer.step()
        if isinstance(recipe.teacher, Teacher):
            follow(model, recipe.teacher, (step + 1) / optim.steps)
        curve.append(loss.item())
    return model, curve


@torch.no_grad()
def follow(model: MaskedModel, teacher: Teacher, progress: float) -> None:
    decay = teacher.decay + (teacher.final_decay - teacher.decay) * progress
    assert model.teacher is not None
    own = dict(model.named_parameters())
    for name, slow in model.teacher.named_parameters():
        slow.copy_(decay * slow + (1 - decay) * own[name])


@pytest.mark.parametrize("make", [weighted, clustered, with_teacher])
def test_a_run_is_that_of_a_plain_loop(make: Callable[[], Recipe], tmp_path: Path):
    recipe = make()
    train(recipe, tmp_path)
    model, curve = by_hand(recipe)
    assert list(losses(tmp_path).values()) == pytest.approx(curve, rel=1e-4)
    for name, value in weights(tmp_path).items():
        value, expected = known(name, value), known(name, model.state_dict()[name])
        torch.testing.assert_close(value, expected, atol=2e-5, rtol=1e-3, msg=name)


def test_the_loss_falls_as_fast_as_with_plain_adamw(tmp_path: Path):
    recipe = replace(toy_recipe(), optim=replace(toy_recipe().optim, steps=30))
    train(recipe, tmp_path)
    _, curve = by_hand(recipe)
    assert list(losses(tmp_path).values()) == pytest.approx(curve, rel=0.02)
    assert sum(curve[-5:]) < 0.7 * sum(curve[:5])


def test_hints_and_masks_are_those_of_the_progress_of_the_run(tmp_path: Path):
    train(guided(), tmp_path)
    _, curve = by_hand(guided())  # its weights have biases that move no ranking
    assert list(losses(tmp_path).values()) == pytest.approx(curve, rel=1e-4)


def test_a_step_never_waits_for_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = clustered()
    recipe = replace(
        recipe,
        optim=replace(recipe.optim, steps=3, accumulate=2),
        run=replace(recipe.run, log_every=100),
    )
    whole_step, watches = trainer.step_once, []

    def watched(training: Any, batch: Any, *, watch: bool) -> Any:
        with SyncWatch() as found:
            report = whole_step(training, batch, watch=watch)
        if not watch:  # the health of features is measured for log lines alone
            watches.append(found)
        return report

    monkeypatch.setattr(trainer, "step_once", watched)
    train(recipe, tmp_path)
    assert len(watches) == 2
    for found in watches:
        assert not found.waits, found.report()


def finite_loss_of_infinite_slope(predicted: Tensor, truth: Tensor) -> Tensor:
    return mse(predicted, truth) + (0.0 * predicted).sum(dim=-1).abs().sqrt()


def test_a_step_with_a_finite_loss_and_no_gradient_is_skipped(tmp_path: Path):
    recipe = toy_recipe()
    first, second = recipe.objectives
    first = replace(first, loss=finite_loss_of_infinite_slope)
    recipe = replace(recipe, run=replace(recipe.run, max_nonfinite_steps=99))
    train(replace(recipe, objectives=(first, second)), tmp_path)
    start = build_model(fit(recipe)).state_dict()
    for name, value in weights(tmp_path).items():
        assert torch.equal(value, start[name]), name


def clip(model: nn.Module) -> Tensor:
    training = object.__new__(Training)  # of which clipping asks for nothing else
    training.model, training.sharded = model, False
    return _clip(training, 1.0)


def test_clipping_leaves_the_ratio_of_lengths_within_the_model_and_targets_apart():
    model = nn.ModuleDict({name: nn.Linear(1, 1, bias=False) for name in ("a", "b", "targets")})
    gradients = {"a": 3.0, "b": 4.0, "targets": 50.0}
    for name, value in gradients.items():
        model[name].weight.grad = torch.tensor([[value]])
    assert clip(model).item() == pytest.approx(5.0)
    clipped = {name: model[name].weight.grad.item() for name in gradients}
    assert clipped == pytest.approx({"a": 0.6, "b": 0.8, "targets": 1.0}, rel=1e-4)
    model["targets"].weight.grad.fill_(float("nan"))
    assert not clip(model).isfinite()
