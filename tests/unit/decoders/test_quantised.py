from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from omnimask.decoders import QuantisedDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import from_json, to_json
from omnimask.masking import RandomMask, ShowAll
from omnimask.masking.plan import Masker
from omnimask.masking.predict import PredictVisible
from omnimask.objectives.objective import cosine
from omnimask.objectives.targets import TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import Teacher
from omnimask.tokens.tokens import Rows
from omnimask.training.step import MaskedModel, build_model
from tests.steps import encode
from tests.sync_watch import SyncWatch
from tests.unit.toy_recipe import first_batch, loss_of, toy_recipe

SMALL = QuantisedDecoder(num_codes=12, code_dim=4, width=8, depth=1, num_heads=2, decay=0.9)


def tokenizer(masker: Masker | None = None, decoder: QuantisedDecoder = SMALL) -> Recipe:
    recipe = toy_recipe()
    target = TeacherFeatures(layers=(0,), norm="none")
    return replace(
        recipe,
        masker=masker or ShowAll(),
        decoders={"main": decoder},
        teacher=Teacher(decay=1.0, final_decay=1.0),
        objectives=tuple(
            replace(objective, target=target, loss=cosine, where="all")
            for objective in recipe.objectives
        ),
    )


def encoded(model: MaskedModel) -> list:
    return encode(model, first_batch(model.recipe))


def test_a_tokenizer_learns_one_repeated_batch():
    recipe = tokenizer()
    model = build_model(recipe)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    totals = []
    for _ in range(25):
        outcome = model(first_batch(recipe), watch=True)
        loss = loss_of(model, outcome.sums)
        totals.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert totals[-1] < 0.6 * totals[0]
    assert "own/main" in outcome.sums
    assert outcome.health["used/main"] > 0.1


def test_every_parameter_learns():
    model = build_model(tokenizer())
    loss_of(model, model(first_batch(model.recipe)).sums).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("teacher."):
            assert parameter.grad is None, name
        elif not name.endswith("encoder.prefix"):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_a_token_that_is_not_visible_gets_zeros():
    model = build_model(tokenizer(PredictVisible(masker=RandomMask(ratio=0.5)))).eval()
    for item in encoded(model):
        rows, _ = model.decoders["main"](item)
        plan = item.plan
        shown = torch.zeros_like(item.view.layout.valid, dtype=torch.long)
        shown.scatter_add_(1, plan.visible_ids, plan.visible_ok.long())
        visible = plan.predict_ok & (shown.gather(1, plan.predict_ids) > 0)
        assert (rows[~visible] == 0).all()
        assert (rows[visible].abs().sum(dim=-1) > 0).all()
        assert not visible.all()


def test_codes_are_the_nearest_of_the_projection_at_every_token():
    model = build_model(tokenizer()).eval()
    decoder = model.decoders["main"]
    for item in encoded(model):
        z = F.normalize(decoder.down(item.visible[0]), dim=-1)
        expected = torch.cdist(z, decoder.codebook.codes).argmin(dim=1)
        assert torch.equal(decoder.codes(item), expected)
        assert len(expected) == sum(item.plan.num_visible)


def test_a_row_depends_on_content_through_codes_alone():
    """Rows with the same codes and places are decoded alike, whatever their features were."""
    model = build_model(tokenizer()).eval()
    decoder, item = model.decoders["main"], encoded(model)[0]
    rows, _ = decoder(item)
    ids = decoder.codes(item)
    # Invertible to the projection: features moved without crossing to another code.
    moved = item.visible[0] + 1e-4 * torch.randn_like(item.visible[0])
    nudged = replace(item, visible=(moved,))
    assert torch.equal(decoder.codes(nudged), ids)
    again, _ = decoder(nudged)
    torch.testing.assert_close(again, rows, atol=1e-6, rtol=0.0)


def test_a_sample_is_decoded_alike_in_any_company():
    model = build_model(tokenizer()).eval()
    group = first_batch(model.recipe)[0]
    raw = {name: {k: v[:1] for k, v in part.items()} for name, part in group.raw.items()}
    first = replace(group, raw=raw, keys=group.keys[:1], names=group.names[:1])
    (alone,) = encode(model, [first])
    (both,) = encode(model, [group])
    rows = [model.decoders["main"](item)[0] for item in (alone, both)]
    kept = alone.plan.predict_ids.shape[1]
    torch.testing.assert_close(rows[0], rows[1][:1, :kept], atol=1e-5, rtol=1e-5)


def test_commitment_is_the_weighted_sum_over_visible_tokens():
    heavy = build_model(tokenizer(decoder=replace(SMALL, commitment=2.5))).eval()
    plain = build_model(tokenizer()).eval()
    for one, other in zip(encoded(heavy), encoded(plain), strict=True):
        losses = [model.decoders["main"](item)[1] for model, item in ((heavy, one), (plain, other))]
        torch.testing.assert_close(losses[0], 2.5 * losses[1])
        z = F.normalize(plain.decoders["main"].down(other.visible[0]), dim=-1)
        code = plain.decoders["main"].codebook.codes[plain.decoders["main"].codes(other)]
        torch.testing.assert_close(losses[1], F.mse_loss(z, code) * len(z))
        assert Rows.of(other.plan.num_visible).unpack(z).shape[0] == len(other.plan.num_visible)


def test_the_device_is_never_waited_for():
    model = build_model(tokenizer())
    batch = first_batch(model.recipe)
    loss_of(model, model(batch).sums).backward()
    with SyncWatch() as watch:
        loss_of(model, model(batch).sums).backward()
    assert not watch.waits, watch.report()


def test_the_record_survives_json():
    assert from_json(to_json(SMALL)) == SMALL


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_codes", 1), ("code_dim", 0), ("decay", 1.0), ("commitment", -1.0), ("num_heads", 5)],
)
def test_a_bad_field_is_named(field: str, value: float):
    with pytest.raises(RecipeError, match=f"{field}.*{value}"):
        QuantisedDecoder(**{field: value})


def test_its_own_loss_is_a_mean_over_visible_tokens():
    model = build_model(tokenizer())
    count = model(first_batch(model.recipe)).sums["own/main"].count
    assert count == sum(sum(item.plan.num_visible) for item in encoded(model))
