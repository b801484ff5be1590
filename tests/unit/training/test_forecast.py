"""What many devices would need, by hand."""

from dataclasses import replace

import pytest

from omnimask.training.cost import StepCost, StreamTokens
from omnimask.training.forecast import Device, Forecast, forecast
from tests.unit.toy_recipe import toy_recipe

COST = StepCost(
    tokens=(StreamTokens(stream="toy", samples=4, valid=100, visible=50, predicted=50),),
    trained_parameters=1_000_000_000,
    teacher_parameters=0,
    flops=40 * 10**12,
    state_bytes=16_000_000_000,
    activation_bytes=8_000_000_000,
)
DEVICE = Device(memory_gb=100.0, tflops=100.0, network_gb_s=10.0)


def of(world: int, *, sharded: bool = False, read_s: float = 0.0) -> Forecast:
    toy = toy_recipe()
    recipe = replace(toy, optim=replace(toy.optim, accumulate=8))
    return forecast(
        recipe, COST, world=world, device=DEVICE, sharded=sharded, read_s=read_s, share=0.5
    )


def test_devices_share_the_micro_batches():
    assert (of(1).micro_batches, of(4).micro_batches, of(8).micro_batches) == (8, 2, 1)
    assert of(4).tokens == 200
    assert of(1).compute_s == pytest.approx(8 * 0.8)
    assert of(4).compute_s == pytest.approx(2 * 0.8)


def test_sharding_cuts_the_state_and_not_the_activations():
    assert of(8).memory_gb == pytest.approx(16 + 4)
    assert of(8, sharded=True).memory_gb == pytest.approx(2 + 4)


def test_the_slowest_part_binds():
    assert (of(1).exchange_s, of(1).binds) == (0.0, "computing")
    assert of(8).exchange_s == pytest.approx(0.8)
    assert of(8, sharded=True).binds == "the exchange of gradients"
    slow = of(8, read_s=3.0)
    assert (slow.binds, slow.step_s) == ("reading samples", 3.0)
