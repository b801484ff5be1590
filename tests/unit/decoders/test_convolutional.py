import pytest
import torch
import torch.nn.functional as F

from omnimask.decoders import ConvDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoder
from tests.unit.decoder_cases import (
    LINE,
    MAP,
    GridToy,
    build,
    make_case,
    predict_ids,
    run,
    visible_ids,
    visible_row,
)

CASES = [
    ConvDecoder(width=8, depth=3, kernel=3, groups=2),
    ConvDecoder(width=12, depth=2, kernel=5, groups=4),  # no residual where the width changes
]


@pytest.mark.parametrize("decoder", CASES)
def test_it_is_plain_convolution_of_what_a_row_has(decoder: ConvDecoder):
    case = make_case()
    module, rows = run(decoder, case)
    for row in range(4):
        sequence = module.mask_token.repeat(17, 1)
        sequence[visible_ids(case, row)] = visible_row(case, row)
        # Of the second sample only two rows of the map are there; the third is cut off.
        full = row < 2
        planes = sequence[:12].view(3, 4, -1).permute(2, 0, 1)[None, :, : 3 if full else 2]
        line = sequence[12:].T[None, :, : 5 if full else 3]
        for name, x, conv in (("map", planes, F.conv2d), ("line", line, F.conv1d)):
            for layer in module.convolutions[name]:
                y = conv(x, layer.weight, layer.bias, padding="same", groups=decoder.groups)
                mean, var = y.mean(1, keepdim=True), y.var(1, keepdim=True, correction=0)
                y = F.gelu((y - mean) / (var + 1e-5).sqrt())
                x = x + y if x.shape == y.shape else y
            start = 0 if name == "map" else 12
            flat = x[0].flatten(1).T
            for place, token in enumerate(predict_ids(case, row).tolist()):
                if start <= token < (12 if name == "map" else 17):
                    torch.testing.assert_close(
                        rows[row, place], flat[token - start], atol=1e-5, rtol=1e-5
                    )


def test_surplus_places_of_a_row_are_zero():
    case = make_case()
    _, rows = run(CASES[0], case)
    assert not case.plan.predict_ok.all()
    assert (rows[~case.plan.predict_ok] == 0).all()


def test_three_axes_are_convolved_too():
    cube = GridToy(name="cube", num_tokens=8, shape=(2, 2, 2))
    module = CASES[0].build([cube], Encoder(width=8, depth=1, num_heads=2))
    assert isinstance(module.convolutions["cube"][0], torch.nn.Conv3d)


def test_the_defaults_are_those_of_the_paper_for_images():
    module = ConvDecoder().build([MAP], Encoder())
    shapes = [tuple(layer.weight.shape) for layer in module.convolutions["map"]]
    assert shapes == [(768, 768 // 16, 3, 3)] * 6


def test_a_modality_without_a_grid_is_refused_with_a_way_out():
    with pytest.raises(RecipeError, match="cells has no grid; use SelfAttentionDecoder"):
        CASES[0].build([LINE, GridToy(name="cells")], Encoder(width=8, num_heads=2))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel": 4}, "kernel must be odd, got 4"),
        ({"width": 12, "groups": 5}, "groups must divide width=12, got 5; write groups=4"),
        ({"depth": 0}, "depth must be >= 1"),
    ],
)
def test_numbers_that_cannot_work_are_refused(fields: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        ConvDecoder(**fields)


def test_groups_must_divide_the_width_of_the_encoder():
    with pytest.raises(RecipeError, match=r"encoder.width=8, got 16; write groups=8"):
        build(ConvDecoder(width=32))
