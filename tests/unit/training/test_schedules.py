import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.settings import CosineSchedule, Optim, StepSchedule, TargetOptim
from omnimask.training.optimisation import (
    build_optimizer,
    learning_rate,
    load_optimizer_tensors,
    optimizer_tensors,
    set_schedules,
    weight_decay,
)


def test_the_rate_rises_linearly_and_falls_by_half_a_cosine():
    optim = Optim(steps=12, lr=1.0, final_lr=0.2, warmup_steps=2)
    rates = [learning_rate(optim, step) for step in range(12)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[7] == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_a_longer_horizon_is_cut_off():
    """Horizon 1.25 equals the first four fifths of a longer run, decay included."""
    short = Optim(
        steps=20,
        lr=1.0,
        final_lr=0.1,
        warmup_steps=4,
        final_weight_decay=0.4,
        schedule=CosineSchedule(horizon=1.25),
    )
    long = replace(short, steps=25, schedule=CosineSchedule())
    for step in range(20):
        assert learning_rate(short, step) == pytest.approx(learning_rate(long, step))
        assert weight_decay(short, step) == pytest.approx(weight_decay(long, step))
    with pytest.raises(RecipeError, match="horizon must be >= 1"):
        CosineSchedule(horizon=0.8)


def test_the_rate_falls_in_steps():
    optim = Optim(steps=8, lr=1.0, warmup_steps=2, schedule=StepSchedule(at=(0.5, 0.875)))
    rates = [learning_rate(optim, step) for step in range(8)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01])
    with pytest.raises(RecipeError, match="shares of the run"):
        StepSchedule(at=(700.0,))


def test_vectors_do_not_decay():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    matrices, others = build_optimizer(model, Optim(steps=1)).param_groups
    assert [p.shape for p in matrices["params"]] == [(2, 3)]
    assert len(others["params"]) == 3
    assert others["weight_decay"] == 0.0


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()


def test_the_state_survives_by_parameter_name():
    torch.manual_seed(0)
    model, again = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = build_optimizer(model, Optim(steps=1))
    step(model, optimizer)
    again.load_state_dict(model.state_dict())
    other = build_optimizer(again, Optim(steps=1))
    load_optimizer_tensors(again, other, optimizer_tensors(model, optimizer))
    step(model, optimizer)
    step(again, other)
    assert torch.equal(model.weight, again.weight)


def test_the_fused_step_skips_by_a_tensor():
    """The trainer leans on this property of torch's fused AdamW, on the CPU too."""
    model = nn.Linear(3, 2)
    optimizer = build_optimizer(model, Optim(steps=1))
    step(model, optimizer)
    before = {name: value.clone() for name, value in optimizer_tensors(model, optimizer).items()}
    weight = model.weight.clone()
    vars(optimizer)["found_inf"] = torch.tensor(1.0)
    model.weight.grad = torch.full_like(model.weight, float("nan"))
    optimizer.step()
    assert torch.equal(model.weight, weight)
    for name, value in optimizer_tensors(model, optimizer).items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("fields", [{"steps": 0}, {"steps": 3, "warmup_steps": 4}])
def test_impossible_schedules_are_refused(fields: dict[str, int]):
    with pytest.raises(RecipeError, match=r"optim"):
        Optim(**fields)


def test_weight_decay_moves_by_half_a_cosine_without_warm_up():
    optim = Optim(steps=4, warmup_steps=2, weight_decay=0.1, final_weight_decay=0.5)
    assert weight_decay(optim, 0) == pytest.approx(0.1)
    assert weight_decay(optim, 2) == pytest.approx(0.3)
    assert weight_decay(Optim(steps=4, weight_decay=0.1), 3) == 0.1


def test_prefix_tokens_do_not_decay():
    model = nn.Module()
    model.prefix = nn.Parameter(torch.ones(2, 3))
    model.table = nn.Parameter(torch.ones(2, 3))
    matrices, others = build_optimizer(model, Optim(steps=1)).param_groups
    assert [id(p) for p in matrices["params"]] == [id(model.table)]
    assert [id(p) for p in others["params"]] == [id(model.prefix)]


def test_rates_are_scaled_by_name_and_targets_have_their_own():
    optim = Optim(steps=2, lr=0.1, targets=TargetOptim(lr=0.5, betas=(0.1, 0.2)))
    model = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("low", "high", "targets")})
    optimizer = build_optimizer(model, optim, lambda name: 0.25 if name[0] == "l" else 1.0)
    assert set_schedules(optimizer, optim, 0) == pytest.approx(0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    found = {
        names[id(p)]: (g["lr"], g["betas"]) for g in optimizer.param_groups for p in g["params"]
    }
    for name, (rate, betas) in found.items():
        expected = {"l": 0.025, "h": 0.1, "t": 0.5}[name[0]]
        assert rate == pytest.approx(expected), name
        assert betas == ((0.1, 0.2) if name[0] == "t" else optim.betas), name
    assert len(found) == 6
