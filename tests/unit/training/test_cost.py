"""FLOPs and memory of a step against torch's own counters."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from omnimask.training.cost import measure_cost
from omnimask.training.step import build_model
from tests.unit.toy_recipe import first_batch, loss_of, toy_recipe, with_teacher


@pytest.mark.parametrize("make", [toy_recipe, with_teacher])
def test_flops_agree_with_torch(make):
    """torch counts what runs; ours leaves out that the first layers need no input gradient, and
    that torch's attention recomputes scores in the backward pass.
    """
    model, batch = build_model(make()), first_batch(make())
    cost = measure_cost(model, batch)
    with FlopCounterMode(display=False) as counter:
        loss_of(model, model(batch).sums).backward()
    assert cost.flops == pytest.approx(counter.get_total_flops(), rel=0.15)


def test_parameters_and_tokens_are_those_of_the_step():
    model, batch = build_model(with_teacher()), first_batch(with_teacher())
    cost = measure_cost(model, batch)
    assert model.teacher is not None
    assert cost.teacher_parameters == sum(p.numel() for p in model.teacher.parameters())
    assert cost.trained_parameters + cost.teacher_parameters == sum(
        p.numel() for p in model.parameters()
    )
    assert sum(part.visible for part in cost.tokens) == model(batch).num_tokens
    for part in cost.tokens:
        assert part.visible + part.predicted == part.valid


def test_recomputed_activations_need_less_memory():
    from dataclasses import replace

    recipe = toy_recipe()
    deep = replace(recipe, encoder=replace(recipe.encoder, depth=8))
    thrifty = replace(deep, encoder=replace(deep.encoder, checkpoint_blocks=True))
    batch = first_batch(recipe)
    kept, recomputed = (
        measure_cost(build_model(r).train(), batch).activation_bytes for r in (deep, thrifty)
    )
    assert recomputed < 0.6 * kept


def test_counting_leaves_the_model_as_it_was():
    model, batch = build_model(toy_recipe()), first_batch(toy_recipe())
    before = model(batch).sums["toy_content"].total
    measure_cost(model, batch)
    assert torch.equal(model(batch).sums["toy_content"].total, before)
    assert not any(module._forward_hooks for module in model.modules())
