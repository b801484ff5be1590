"""What the fields of SelfAttentionDecoder change, on a whole model."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from omnimask.decoders import BlockOutput, LayerFusion, SelfAttentionDecoder, VisibleDecoder
from omnimask.decoders.reading import Reading
from omnimask.foundation.errors import RecipeError
from omnimask.masking import PredictVisible, RandomMask
from omnimask.recipe.recipe import Recipe
from omnimask.training.step import MaskedModel, build_model
from tests.unit.toy import Toy
from tests.unit.toy_recipe import first_batch, toy_recipe

SMALL = {"width": 8, "depth": 2, "num_heads": 2}
HIDING = RandomMask(ratio=0.5)


def recipe_with(decoder: SelfAttentionDecoder | VisibleDecoder, *, masker=HIDING) -> Recipe:
    return replace(toy_recipe(), decoders={"main": decoder}, masker=masker)


def features(model: MaskedModel, masker=HIDING) -> list[tuple[Tensor, Tensor, Tensor]]:
    """By group: features at the predicted ids, which are hidden, and which are real."""
    model.eval()
    out = []
    for view in model.views(first_batch(model.recipe)):
        (plan,) = masker(view.layout, view.group.rng.child("mask"))
        (encoded,) = model.encode([view], [[plan]])
        hidden = ~plan.is_visible(view.layout.num_tokens).gather(1, plan.predict_ids)
        out.append((model.decode(encoded)[0]["main"], hidden & plan.predict_ok, plan.predict_ok))
    return out


def test_hidden_tokens_are_decoded_alike_however_visible_ones_enter():
    """Attention does not mind the order, and where nothing but hidden tokens is asked for both ways
    have the same tokens."""
    mask, own = (
        build_model(recipe_with(SelfAttentionDecoder(**SMALL, visible=kind)))
        for kind in ("mask", "own")
    )
    for before, after in zip(features(mask), features(own), strict=True):
        torch.testing.assert_close(before[0], after[0], atol=1e-5, rtol=1e-5)


def test_a_shown_token_gives_what_became_of_its_own_vector():
    """Not of a mask token: with no blocks nothing else reaches it."""
    everything = PredictVisible(masker=HIDING)
    model = build_model(
        recipe_with(SelfAttentionDecoder(width=8, depth=0, num_heads=2, visible="own"))
    )
    visible_only = build_model(recipe_with(VisibleDecoder()))
    visible_only.backbone.load_state_dict(model.backbone.state_dict())
    decoder = model.decoders["main"]
    pairs = zip(features(model, everything), features(visible_only, everything), strict=True)
    for number, ((found, hidden, real), (encoded, _, _)) in enumerate(pairs):
        view = model.views(first_batch(model.recipe))[number]
        everywhere = torch.arange(view.layout.valid.numel())
        places = decoder.places(view.layout, everywhere).unflatten(0, view.layout.valid.shape)
        (plan,) = everything(view.layout, view.group.rng.child("mask"))
        at = places.gather(1, plan.predict_ids[:, :, None].expand(-1, -1, 8))
        expected = decoder.norm(decoder.project(encoded) + at)
        shown = real & ~hidden
        assert shown.any()
        torch.testing.assert_close(found[shown], expected[shown])
        assert not torch.allclose(found[hidden], expected[hidden])


def read_by(reading: Reading | None) -> MaskedModel:
    return build_model(recipe_with(SelfAttentionDecoder(**SMALL, reads=reading)))


def test_a_fusion_of_the_last_layer_alone_is_the_output_bit_for_bit():
    plain, fused = read_by(None), read_by(LayerFusion(layers_read=(-2, -1)))
    fused.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        fused.decoders["main"].reading.weights.copy_(torch.tensor([-1000.0, 0.0]))
    for before, after in zip(features(plain), features(fused), strict=True):
        assert torch.equal(before[0], after[0])
    assert fused.decoders["main"].health()["last_layer"].item() == 1.0


def test_an_own_norm_of_the_last_block_is_the_output():
    plain, own = read_by(None), read_by(BlockOutput(layer=-1))
    own.load_state_dict(plain.state_dict(), strict=False)
    for before, after in zip(features(plain), features(own), strict=True):
        assert torch.equal(before[0], after[0])


def test_an_earlier_block_is_something_else():
    plain, early = read_by(None), read_by(BlockOutput(layer=-2))
    early.load_state_dict(plain.state_dict(), strict=False)
    for before, after in zip(features(plain), features(early), strict=True):
        assert not torch.allclose(before[0], after[0])


def test_places_before_every_block_are_those_of_the_tokens():
    """Of one block they are the same as places added once."""
    once = build_model(recipe_with(SelfAttentionDecoder(width=8, depth=1, num_heads=2)))
    each = build_model(
        recipe_with(SelfAttentionDecoder(width=8, depth=1, num_heads=2, places_every_block=True))
    )
    for before, after in zip(features(once), features(each), strict=True):
        torch.testing.assert_close(before[0], after[0])


def test_branches_are_dropped_in_training_by_the_samples_keys():
    model = build_model(recipe_with(SelfAttentionDecoder(**SMALL, drop_path=0.5))).train()
    batch = first_batch(model.recipe)
    model.recipe = replace(model.recipe)
    first, again = (model(batch).sums["toy_content"].total for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, model.eval()(batch).sums["toy_content"].total)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pool": (2,)}, "visible='own'"),
        ({"drop_path": 1.0}, "drop_path must be in"),
    ],
)
def test_what_does_not_fit_together(fields: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        SelfAttentionDecoder(**fields)


def test_blocks_that_the_encoder_does_not_have():
    for reading in (BlockOutput(layer=-9), LayerFusion(layers_read=(-9, -1))):
        with pytest.raises(RecipeError, match="blocks count from the last"):
            read_by(reading)
    with pytest.raises(RecipeError, match="in their order"):
        LayerFusion(layers_read=(-1, -2))


def test_a_pool_is_a_mean_over_cells():
    from omnimask.decoders.pooling import check_pool

    with pytest.raises(RecipeError, match="must divide the axes"):
        check_pool((2,), [Toy(name="toy", num_tokens=5)])
