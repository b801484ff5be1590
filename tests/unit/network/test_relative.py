"""Which entry of the bias table holds for two tokens, and what an encoder does with it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoder
from omnimask.network.relative import (
    APART,
    FROM_PREFIX,
    NUM_COMMON,
    OF_PREFIX,
    TO_PREFIX,
    RelativePlaces,
    carry_tables,
    of_prefix,
    pair_entries,
)
from omnimask.tokens.tokens import Layout, Rows, Tokens
from omnimask.training.step import MaskedModel, build_model
from tests.unit.toy import Toy
from tests.unit.toy_recipe import TOYS, first_batch, toy_recipe


def grid_entries() -> Tensor:
    """[CLS], the four tokens of "wide", and the three of "other", in one row."""
    modalities = (Toy(name="wide", num_tokens=4), Toy(name="other", num_tokens=3))
    places = RelativePlaces(modalities)
    assert places.num_entries == NUM_COMMON + 7 + 5
    tokens = {
        modality.name: Tokens.dense(
            torch.zeros(1, modality.num_tokens, 4),
            torch.arange(float(modality.num_tokens))[:, None],
            grid=modality.grid,
        )
        for modality in modalities
    }
    cells = places.of(Layout.of(tokens))[0]
    return pair_entries(torch.cat([of_prefix(1, cells.device), cells]), Rows.of((8,)))[0]


def test_entries_by_hand():
    entries = grid_entries()
    assert entries[0, 0] == OF_PREFIX
    assert (entries[0, 1:] == FROM_PREFIX).all()
    assert (entries[1:, 0] == TO_PREFIX).all()
    assert (entries[1:5, 5:] == APART).all()
    assert (entries[5:, 1:5] == APART).all()
    for start, size, first in ((1, 4, NUM_COMMON), (5, 3, NUM_COMMON + 7)):
        for query in range(size):
            for key in range(size):
                entry = entries[start + query, start + key]
                assert entry == first + (query - key) + size - 1


def shaken(encoder: Encoder) -> MaskedModel:
    model = build_model(replace(toy_recipe(), encoder=encoder))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".relative"):
                parameter.normal_()
    return model


ENCODER = Encoder(width=16, depth=2, num_heads=2, positions="none", relative_bias=True)


def test_groups_and_samples_do_not_touch_one_another():
    model = shaken(ENCODER)
    batch = first_batch(model.recipe)
    together = model(batch).sums
    for name, total in together.items():
        apart = [model([group]).sums for group in batch]
        parts = [sums[name].total for sums in apart if name in sums]
        torch.testing.assert_close(total.total, torch.stack(parts).sum(), atol=1e-5, rtol=1e-5)


def test_the_bias_changes_the_loss_and_learns():
    model, plain = shaken(ENCODER), build_model(replace(toy_recipe(), encoder=ENCODER))
    batch = first_batch(model.recipe)
    sums = [m(batch).sums["toy_content"].total for m in (model, plain)]
    assert not torch.allclose(*sums)
    sums[0].backward()
    tables = [p for n, p in model.named_parameters() if n.endswith(".relative")]
    assert len(tables) == 2
    for table in tables:
        assert table.grad is not None
        assert table.grad.abs().sum() > 0


def test_a_shared_table_is_the_same_table_in_every_block():
    """And its gradient the sum of what the blocks' own tables would get."""
    shared, each = shaken(replace(ENCODER, relative_bias="shared")), shaken(ENCODER)
    (table,) = (p for n, p in shared.named_parameters() if n.endswith(".relative"))
    tables = [p for n, p in each.named_parameters() if n.endswith(".relative")]
    weights = shared.state_dict()
    with torch.no_grad():
        for own in tables:
            own.copy_(table)
        for name, value in each.state_dict().items():
            if name in weights:
                value.copy_(weights[name])
    for model in (shared, each):
        sums = model(first_batch(model.recipe)).sums
        torch.stack([part.total for part in sums.values()]).sum().backward()
    together = torch.stack([own.grad for own in tables]).sum(dim=0)
    torch.testing.assert_close(table.grad, together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("owner", ["encoder.blocks.0.attn", "encoder"])
def test_tables_of_other_modalities(owner: str):
    old, new = TOYS, (TOYS[1], Toy(name="third", num_tokens=2), replace(TOYS[0], num_tokens=16))
    table = torch.randn(RelativePlaces(old).num_entries, 2)
    name = f"backbone.{owner}.relative"
    carried, lines = carry_tables({name: table, "other": torch.ones(1)}, old, new)
    found, before, after = carried[name], RelativePlaces(old), RelativePlaces(new)
    assert torch.equal(found[:NUM_COMMON], table[:NUM_COMMON])
    assert torch.equal(after.part(found, "other"), before.part(table, "other"))
    assert (after.part(found, "third") == 0).all()
    assert torch.equal(carried["other"], torch.ones(1))
    assert len(lines) == 1
    assert lines[0].startswith("toy:")
    assert carry_tables(carried, new, new)[0][name].equal(found)


def test_tokens_that_would_stand_nowhere():
    with pytest.raises(RecipeError, match="stand nowhere"):
        Encoder(positions="none")
    with pytest.raises(RecipeError, match="places_every_block"):
        Encoder(positions="rotary", places_every_block=True)
