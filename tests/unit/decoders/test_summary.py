from dataclasses import replace

import torch

from omnimask.decoders import SummaryDecoder
from tests.unit.decoder_cases import make_case, run

DECODER = SummaryDecoder(width=8, depth=2)


def test_predictions_know_the_mean_of_the_visible_tokens_and_nothing_else_of_them():
    case = make_case()
    _, before = run(DECODER, case)
    visible = tuple(layer.clone() for layer in case.encoded.visible)
    first = case.encoded.plan.num_visible[0]
    assert first > 1
    moved = torch.randn_like(visible[0][0])
    visible[0][0] += moved
    visible[0][1] -= moved  # the mean of the first row stays
    _, same = run(DECODER, replace(case, encoded=replace(case.encoded, visible=visible)))
    torch.testing.assert_close(same, before, atol=1e-5, rtol=1e-5)
    visible[0][1] += 2 * moved
    _, other = run(DECODER, replace(case, encoded=replace(case.encoded, visible=visible)))
    assert not torch.allclose(other[0], before[0], atol=1e-3)
    torch.testing.assert_close(other[1:], before[1:])


def test_places_are_told_apart():
    case = make_case()
    _, rows = run(DECODER, case)
    places = int(case.encoded.plan.predict_ok[0].sum())
    assert places > 1
    assert not torch.allclose(rows[0, 0], rows[0, 1], atol=1e-3)
