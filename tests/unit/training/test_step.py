"""The step: what must hold for any recipe over any modality."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from omnimask.decoders import CrossAttentionDecoder, NoDecoder, SelfAttentionDecoder
from omnimask.masking.full import full_plan
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import LossSum
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.tokens import Group, Layout
from omnimask.training.ema import update_ema
from omnimask.training.step import MaskedModel, build_model
from tests.steps import encode
from tests.sync_watch import SyncWatch
from tests.unit.toy_recipe import first_batch, loss_of, toy_recipe, with_teacher

ENCODERS = {
    "additive": Encoder(width=16, depth=2, num_heads=2),
    "rotary": Encoder(width=16, depth=2, num_heads=2, positions="rotary", class_token=False),
    "registers": Encoder(width=16, depth=2, num_heads=2, positions="both", num_registers=3),
    "relative": Encoder(width=16, depth=2, num_heads=2, positions="none", relative_bias=True),
    "shared": Encoder(
        width=16,
        depth=2,
        num_heads=2,
        positions="both",
        relative_bias="shared",
        init="normal_by_depth",
        pre_norm=True,
        style=BlockStyle(sub_norm=True, act="quick_gelu"),
    ),
    "white box": Encoder(width=16, depth=2, num_heads=2, style=BlockStyle(kind="crate")),
    "every block": Encoder(
        width=16, depth=2, num_heads=2, places_every_block=True, class_token=False
    ),
}
DECODERS = {
    "self": ("drop", SelfAttentionDecoder(width=8, depth=1, num_heads=2)),
    "cross": ("drop", CrossAttentionDecoder(width=8, depth=1, num_heads=2)),
    "mixed": ("drop", CrossAttentionDecoder(width=8, depth=1, num_heads=2, mix_layers=True)),
    "none": ("replace", NoDecoder()),
}


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return ENCODERS[request.param]


@pytest.fixture(params=DECODERS)
def recipe(request: pytest.FixtureRequest, encoder: Encoder) -> Recipe:
    hidden, decoder = DECODERS[request.param]
    return replace(toy_recipe(), encoder=encoder, hidden=hidden, decoders={"main": decoder})


def add(sums: list[dict[str, LossSum]]) -> dict[str, LossSum]:
    total: dict[str, LossSum] = {}
    for part in sums:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total


def gradients(model: MaskedModel, sums: dict[str, LossSum]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss_of(model, sums).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_a_mixed_step_equals_its_groups_one_by_one(recipe: Recipe):
    model, batch = build_model(recipe), first_batch(recipe)
    together = model(batch).sums
    apart = add([model([group]).sums for group in batch])
    for name, part in together.items():
        torch.testing.assert_close(part.total, apart[name].total, atol=1e-5, rtol=1e-5)
        assert part.count == apart[name].count
    expected = gradients(model, apart)
    for name, gradient in gradients(model, together).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-5)


def one_sample(group: Group, row: int) -> Group:
    def cut(value: torch.Tensor | tuple[int, ...]) -> torch.Tensor | tuple[int, ...]:
        return value[row : row + 1]

    raw = {name: {k: cut(v) for k, v in part.items()} for name, part in group.raw.items()}
    keys, names = group.keys[row : row + 1], group.names[row : row + 1]
    return replace(group, raw=raw, keys=keys, names=names)


def test_a_sample_is_encoded_alike_in_any_company(recipe: Recipe):
    model, batch = build_model(recipe).eval(), first_batch(recipe)
    together = encode(model, batch)
    for number, group in enumerate(batch):
        lengths = together[number].plan.num_visible
        rows = together[number].visible[0].split(lengths)
        for row in range(len(group)):
            (alone,) = encode(model, [one_sample(group, row)])
            torch.testing.assert_close(alone.visible[0], rows[row], atol=1e-5, rtol=1e-5)


def with_changed_values(model: MaskedModel, group: Group, *, hidden: bool) -> tuple:
    """The encoder's output before and after noise is put on hidden (or shown) tokens."""
    view = model.views([group])[0]
    plans = model.masks(view, 0.0)
    (before,) = model.encode([view], [plans])
    shown = torch.zeros_like(view.layout.valid, dtype=torch.long)
    shown.scatter_add_(1, plans[0].visible_ids, plans[0].visible_ok.long())
    start, tokens = 0, {}
    for name, part in view.tokens.items():
        stop = start + part.values.shape[1]
        where = (shown[:, start:stop] == 0) if hidden else (shown[:, start:stop] > 0)
        noise = torch.randn_like(part.values) * where[:, :, None]
        tokens[name] = replace(part, values=part.values + noise)
        start = stop
    (after,) = model.encode([replace(view, tokens=tokens)], [plans])
    return before.visible[0], after.visible[0]


def test_hidden_content_never_reaches_the_encoder(recipe: Recipe):
    model = build_model(recipe).eval()
    for group in first_batch(recipe):
        before, after = with_changed_values(model, group, hidden=True)
        assert torch.equal(before, after)
        before, after = with_changed_values(model, group, hidden=False)
        assert not torch.allclose(before, after), "the check itself can fail"


def test_every_parameter_learns_and_the_teacher_does_not():
    recipe = replace(with_teacher(), encoder=replace(with_teacher().encoder, drop_path=0.0))
    model = build_model(recipe)
    loss_of(model, model(first_batch(recipe)).sums).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("teacher."):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@dataclass(frozen=True)
class ShowAll:
    """A masker that hides nothing."""

    def __call__(self, layout: Layout, rng: Any, hints: Any = None, progress: float = 0.0):
        return [full_plan(layout)]

    def check(self, grid: Any, modality: str) -> None:
        pass


def test_a_modality_with_nothing_to_predict_adds_zero(recipe: Recipe):
    recipe = replace(recipe, masker=ShowAll())
    model = build_model(recipe)
    outcome = model(first_batch(recipe))
    assert all(part.count == 0 for part in outcome.sums.values())
    loss = loss_of(model, outcome.sums)
    assert loss == 0.0
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_counts_ahead_are_the_counts_of_the_step():
    recipe = with_teacher()
    model, batch = build_model(recipe), first_batch(recipe)
    ahead = model.counts(batch, 0.0, model.hints(batch))
    for name, part in model(batch).sums.items():
        assert ahead[name] == part.count > 0


def test_a_step_counts_the_predicted_tokens_of_each_modality():
    recipe = toy_recipe()
    model, batch = build_model(recipe), first_batch(recipe)
    expected = dict.fromkeys(model.objectives, 0)
    for view in model.views(batch):
        ends = {span.modality: (span.start, span.stop) for span in view.layout.spans}
        (plan,) = model.masks(view, 0.0)
        ids = plan.predict_ids[plan.predict_ok].tolist()
        for name, objective in model.objectives.items():
            start, stop = ends.get(objective.modality, (0, 0))
            expected[name] += sum(start <= i < stop for i in ids)
    counted = {name: int(part.count) for name, part in model(batch).sums.items()}
    assert {name: counted[name] for name in expected} == expected


def test_the_step_never_waits_for_the_device():
    recipe = with_teacher()
    model, batch = build_model(recipe), first_batch(recipe)
    with SyncWatch() as watch:
        outcome = model(batch)
        loss_of(model, outcome.sums).backward()
    assert not watch.waits, watch.report()


def test_branches_are_dropped_by_sample_not_by_place_in_the_batch():
    recipe = with_teacher()
    model = build_model(recipe).train()
    group = first_batch(recipe)[0]
    (whole,) = encode(model, [group])
    rows = whole.visible[0].split(whole.plan.num_visible)
    (last,) = encode(model, [one_sample(group, 3)])
    torch.testing.assert_close(last.visible[0], rows[3], atol=1e-5, rtol=1e-5)
    model.eval()
    (calm,) = encode(model, [group])
    assert not torch.allclose(calm.visible[0], whole.visible[0])


def test_checkpointed_blocks_give_the_same_gradients():
    plain = toy_recipe()
    thrifty = replace(plain, encoder=replace(plain.encoder, checkpoint_blocks=True))
    batch = first_batch(plain)
    grads = []
    for recipe in (plain, thrifty):
        model = build_model(recipe).train()
        grads.append(gradients(model, model(batch).sums))
    for name, gradient in grads[0].items():
        torch.testing.assert_close(grads[1][name], gradient)


def test_the_teacher_follows_slowly():
    model = build_model(with_teacher())
    assert model.teacher is not None
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.add_(1.0)
    before = model.teacher.backbone.encoder.norm.weight.clone()
    update_ema(model.teacher, model, 0.9)
    torch.testing.assert_close(model.teacher.backbone.encoder.norm.weight, before + 0.1)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    first = build_model(toy_recipe()).state_dict()
    torch.manual_seed(6)
    again = build_model(toy_recipe()).state_dict()
    other = build_model(replace(toy_recipe(), seed=1)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
