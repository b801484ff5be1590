from dataclasses import replace

import pytest
import torch

from omnimask.decoders import EarlyContextDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import Packing
from omnimask.network.encoder import Encoder
from omnimask.tokens.tokens import Rows
from tests.unit.decoder_cases import ENCODER, build, make_case, run, view_with, visible_row

DECODER = EarlyContextDecoder(layer=-2, depth=2)


def test_early_tokens_see_the_last_class_token_row_by_row():
    case = make_case(replace_hidden=True, num_layers=3)
    module, rows = run(DECODER, case)
    for row, count in enumerate(case.plan.num_predict):
        # Layers stand in the order asked for: normalised output, early layer, last layer.
        last_class = case.encoded.prefix[2][row][None]
        asked = case.encoded.predict[1].split(case.plan.num_predict)[row]
        x = torch.cat([last_class, visible_row(case, row, layer=1), asked])
        for block in module.blocks:
            x = block(x, Packing(groups=(Rows.of((len(x),)),)))
        torch.testing.assert_close(rows[row, :count], module.norm(x)[-count:], atol=1e-5, rtol=1e-5)


def test_it_reads_the_early_layer_and_the_last():
    assert DECODER.layers(ENCODER) == (-2, -1)
    assert DECODER.hidden == "replace"


def test_a_rotary_encoder_has_its_places_added():
    rotary = Encoder(width=8, depth=3, num_heads=2, positions="rotary")
    case = make_case(replace_hidden=True, num_layers=3)
    module = build(DECODER, encoder=rotary)
    before = module(case.encoded)
    spans = tuple(replace(span, coords=span.coords.flip(1)) for span in case.layout.spans)
    after = module(replace(case.encoded, view=view_with(replace(case.layout, spans=spans))))
    assert not torch.allclose(before, after)


@pytest.mark.parametrize("layer", [-1, 0, 3])
def test_a_layer_that_is_not_early_is_refused(layer: int):
    with pytest.raises(RecipeError, match=f"lies before it, got {layer}"):
        EarlyContextDecoder(layer=layer)


def test_a_layer_that_the_encoder_lacks_is_refused():
    with pytest.raises(RecipeError, match=r"at least -3 \(encoder.depth\), got -4; write -2"):
        build(EarlyContextDecoder())


def test_an_encoder_without_a_class_token_is_refused():
    with pytest.raises(RecipeError, match="EarlyContextDecoder reads"):
        build(DECODER, encoder=Encoder(width=8, num_heads=2, class_token=False))
