"""What enters the encoder and what comes out, by hand: its blocks are silent here."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from omnimask.masking.plan import MaskPlan
from omnimask.network.blocks import Packing
from omnimask.network.encoder import Backbone, Encoded, Encoder, Places, TransformerEncoder
from omnimask.tokens.tokens import Group, Layout, Rows, View
from tests.unit.masking_cases import part
from tests.unit.toy import Toy

WIDTH = 16
TOYS = (Toy(num_tokens=3, num_values=1), Toy(name="other", num_tokens=2, num_values=1))
PARTS = {
    "toy": replace(part(3, [3, 2]), values=torch.tensor([[[1.0], [2], [3]], [[4], [5], [6]]])),
    "other": replace(part(2, [2, 2]), values=torch.tensor([[[7.0], [8]], [[9], [10]]])),
}
GROUP = Group(stream="", raw={}, keys=torch.arange(2), names=("first", "second"))
VIEW = View(group=GROUP, tokens=PARTS, layout=Layout.of(PARTS))
LAYOUT = VIEW.layout
# Two masks of each of two samples.
PLAN = MaskPlan(
    visible_ids=torch.tensor([[0, 3], [1, 4], [1, 0], [0, 4]]),
    visible_ok=torch.tensor([[True, True], [True, True], [True, False], [True, True]]),
    predict_ids=torch.tensor([[1, 4], [0, 0], [0, 3], [1, 3]]),
    predict_ok=torch.tensor([[True, True], [True, False], [True, True], [True, True]]),
    num_visible=(2, 2, 1, 2),
    num_predict=(2, 1, 2, 2),
    copies=2,
)
# The same as (sample, token) in packed order.
VISIBLE = [(0, 0), (0, 3), (0, 1), (0, 4), (1, 1), (1, 0), (1, 4)]
PREDICT = [(0, 1), (0, 4), (0, 0), (1, 0), (1, 3), (1, 1), (1, 3)]


def silent(encoder: TransformerEncoder) -> None:
    """Blocks that pass on what they get."""
    for parameter in encoder.blocks.parameters():
        nn.init.zeros_(parameter)


def place_of(places: Places, token: int) -> Tensor:
    """The position of one token within its modality, and the modality's vector."""
    name, index = ("toy", token) if token < 3 else ("other", token - 3)
    (position,) = places.positions[name](torch.tensor([[float(index)]]))
    return position + places.modalities[name]


def test_chosen_ids_belong_to_the_sample_of_their_row():
    expected = [sample * 5 + token for sample, token in VISIBLE]
    assert PLAN.packed_visible(5).tolist() == expected
    assert PLAN.packed_predict(5).tolist() == [sample * 5 + token for sample, token in PREDICT]
    assert Encoded(view=VIEW, plan=PLAN).packed_visible().tolist() == expected


def test_a_place_is_a_position_plus_the_vector_of_its_modality():
    places = Places(TOYS, WIDTH)
    rows = places(LAYOUT, PLAN.packed_visible(5))
    for row, (_, token) in zip(rows, VISIBLE, strict=True):
        torch.testing.assert_close(row, place_of(places, token))
    alone = Layout.of({"toy": PARTS["toy"]})
    (row,) = places(alone, torch.tensor([2]))
    torch.testing.assert_close(row, place_of(places, 2))


@pytest.mark.parametrize("every_block", [False, True])
def test_visible_content_and_mask_tokens_enter_at_their_places(every_block: bool):
    config = Encoder(width=WIDTH, depth=2, num_heads=2, places_every_block=every_block)
    backbone = Backbone(TOYS, config, mask_token=True)
    silent(backbone.encoder)
    (encoded,) = backbone([(VIEW, PLAN)], layers=(-1,))
    times = 2 if every_block else 1
    for row, (sample, token) in zip(encoded.visible[1], VISIBLE, strict=True):
        name, index = ("toy", token) if token < 3 else ("other", token - 3)
        content = backbone.contents.embeddings[name](PARTS[name].values[sample, index])
        torch.testing.assert_close(row, content + times * place_of(backbone.places, token))
    for row, (_, token) in zip(encoded.predict[1], PREDICT, strict=True):
        expected = backbone.mask_token + times * place_of(backbone.places, token)
        torch.testing.assert_close(row, expected)
    assert backbone.encoder.prefix is not None
    torch.testing.assert_close(encoded.prefix[1], backbone.encoder.prefix.expand(4, -1))


def test_prefix_tokens_are_rotated_by_nothing():
    config = Encoder(width=8, depth=1, num_heads=2, positions="rotary", num_registers=1)
    encoder, seen = TransformerEncoder(config), []
    encoder.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1].angles))
    angles = torch.arange(1.0, 7.0).view(3, 2)
    encoder(torch.randn(3, 8), Packing(groups=(Rows.of((1, 2)),), angles=angles))
    nothing = torch.zeros(2, 2)
    assert torch.equal(seen[0], torch.cat([nothing, angles[:1], nothing, angles[1:]]))


def test_layers_are_outputs_of_their_own_blocks_in_the_order_of_asking():
    config = Encoder(width=8, depth=3, num_heads=2, places_every_block=True, class_token=False)
    encoder = TransformerEncoder(config)
    silent(encoder)
    x, places = torch.randn(2, 8), torch.ones(2, 8)
    normalised, *layers = encoder(
        x, Packing(groups=(Rows.of((2,)),), positions=places), layers=(-1, -3, -2)
    )
    # Each silent block adds its place once more.
    for layer, times in zip(layers, (3, 1, 2), strict=True):
        torch.testing.assert_close(layer, x + times)
    torch.testing.assert_close(normalised, encoder.norm(x + 3))


def test_of_several_layers_a_decoder_gets_its_own():
    layers = tuple(torch.full((1, 2), float(n)) for n in range(4))
    encoded = Encoded(
        view=VIEW, plan=PLAN, prefix=layers, visible=layers, predict=layers, num_prefix=1
    )
    chosen = encoded.with_layers((-1, -3), among=(-3, -2, -1))
    for found in (chosen.prefix, chosen.visible, chosen.predict):
        assert [layer[0, 0].item() for layer in found] == [0, 3, 1]
    assert encoded.with_layers((-3, -2, -1), among=(-3, -2, -1)) is encoded
