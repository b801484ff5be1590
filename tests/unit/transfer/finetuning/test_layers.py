"""Which layer a parameter belongs to, and what freezing and decay make of it."""

from dataclasses import replace

import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.transfer.finetuning.labels import fit_task
from omnimask.transfer.finetuning.layers import (
    has_thawed,
    is_frozen,
    is_unread,
    layer_of,
    rate_scale,
)
from omnimask.transfer.finetuning.model import build_finetuned
from omnimask.transfer.finetuning.recipe import Freeze
from tests.unit.finetuning_cases import toy_finetune

NAMES = {
    "backbone.contents.embeddings.toy.weight": 0,
    "backbone.places.modalities.toy": 0,
    "backbone.encoder.prefix": 0,
    "backbone.encoder.blocks.0.attn.qkv.weight": 1,
    "backbone.encoder.blocks.1.mlp.fc1.bias": 2,
    "backbone.encoder.norm.weight": 3,
    "head.linear.weight": 3,
}


def test_every_parameter_has_its_layer():
    own = dict(build_finetuned(fit_task(toy_finetune())).named_parameters())
    assert NAMES.keys() <= own.keys()
    assert {name: layer_of(name, 2) for name in NAMES} == NAMES


def test_rates_fall_towards_the_input():
    scales = [rate_scale(name, depth=2, decay=0.5) for name in NAMES]
    assert scales == pytest.approx([0.125, 0.125, 0.125, 0.25, 0.5, 1.0, 1.0])


@pytest.mark.parametrize(
    ("frozen", "expected"),
    [
        (Freeze(), set()),
        (Freeze(blocks=1), {0, 1}),
        (Freeze(encoder=True), {0, 1, 2, "norm"}),
    ],
)
def test_what_is_frozen(frozen: Freeze, expected: set):
    found = {
        "norm" if "encoder.norm" in name else layer
        for name, layer in NAMES.items()
        if is_frozen(name, frozen, 2)
    }
    assert found == expected
    model = build_finetuned(fit_task(replace(toy_finetune(), frozen=frozen))).train()
    assert model.backbone.encoder.blocks[0].training == (0 not in expected)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != is_frozen(name, frozen, 2), name


def test_the_encoder_stays_until_a_moment_and_then_learns_as_a_whole():
    frozen = Freeze(until=0.8)
    for name in ("backbone.encoder.blocks.0.mlp.fc1.weight", "backbone.encoder.norm.bias"):
        learns = [has_thawed(name, frozen, depth=2, progress=step / 100) for step in range(100)]
        assert learns == [False] * 80 + [True] * 20
    assert has_thawed("head.weight", frozen, depth=2, progress=0.0)
    for wrong in ({"until": 1.0}, {"until": 0.5, "thaw": 0.5}, {"until": 0.5, "encoder": True}):
        with pytest.raises(RecipeError, match=r"frozen\.until"):
            Freeze(**wrong)


def test_layers_thaw_from_the_head_down():
    frozen = Freeze(thaw=0.6)
    begins = {
        name: next(
            step for step in range(101) if has_thawed(name, frozen, depth=2, progress=step / 100)
        )
        for name in NAMES
    }
    assert list(begins.values()) == [60, 60, 60, 40, 20, 0, 0]


@pytest.mark.parametrize(
    ("layers", "expected"), [((), set()), ((-1, -2), {"norm"}), ((-2,), {"fc1", "norm"})]
)
def test_what_no_output_depends_on(layers: tuple[int, ...], expected: set[str]):
    found = {name.split(".")[-2] for name in NAMES if is_unread(name, layers, 2)}
    assert found == expected
