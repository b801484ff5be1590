from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from omnimask.decoders import SpanDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import Packing
from omnimask.tokens.tokens import Rows
from tests.unit.decoder_cases import (
    ENCODER,
    LINE,
    MAP,
    Case,
    layout_of,
    make_case,
    predict_ids,
    run,
    view_with,
    visible_ids,
    visible_row,
)

SPANS = {"map": (0, 12), "line": (12, 17)}


def reference(module: torch.nn.Module, case: Case, row: int, name: str) -> dict[int, torch.Tensor]:
    """One row decoded densely: the vector of every token of the modality, by its id."""
    sample, (start, stop) = row // 2, SPANS[name]
    where = torch.cat(
        [
            module.places.positions[s.modality](s.coords[sample])
            + module.places.modalities[s.modality]
            for s in case.layout.spans
        ]
    )
    shown, ids = module.project(visible_row(case, row)), visible_ids(case, row)
    prefix = module.project(case.encoded.prefix[0].view(4, -1, ENCODER.width)[row])
    context = module.norm_context(torch.cat([prefix, shown + where[ids]]))
    everything = module.mask_token.repeat(17, 1)
    everything[ids] = shown
    queries = (everything + where)[start:stop][case.layout.valid[sample, start:stop]]
    k, v = module.cross.kv(context).view(len(context), 2, 2, 4).permute(1, 2, 0, 3)
    q = module.cross.q(module.norm_query(queries)).view(len(queries), 2, 4).transpose(0, 1)
    x = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    x = module.cross.proj(x.transpose(0, 1).flatten(1))
    x = x + module.mlp(module.norm_mlp(x))
    for block in module.blocks:
        x = block(x, Packing(groups=(Rows.of((len(x),)),)))
    return {start + i: vector for i, vector in enumerate(x)}


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("name", SPANS)
def test_one_modality_is_decoded_from_all(name: str, joint: bool):
    case = make_case(joint=joint)
    module, rows = run(SpanDecoder(modality=name, width=8, depth=2, num_heads=2), case)
    for row in range(4):
        expected = reference(module, case, row, name)
        for place, token in enumerate(predict_ids(case, row).tolist()):
            vector = expected.get(token, torch.zeros(8))
            torch.testing.assert_close(rows[row, place], vector, atol=1e-5, rtol=1e-5)


def test_a_token_that_can_only_be_predicted_is_a_query_too():
    whole, case = layout_of([(MAP, (12, 8)), (LINE, (5, 3))]), make_case()
    decoder = SpanDecoder(modality="line", width=8, depth=1, num_heads=2)
    # Token 16 of the first sample has ground truth but may not be shown.
    valid = whole.valid.clone()
    valid[0, 16] = False
    line = replace(whole.spans[1], num_valid=(4, 3))
    layout = replace(whole, valid=valid, spans=(whole.spans[0], line))
    plan = replace(
        case.plan,
        visible_ids=torch.tensor([[0, 13], [1, 12]]),
        visible_ok=torch.ones(2, 2, dtype=torch.bool),
        predict_ids=torch.tensor([[12, 14, 16], [13, 14, 0]]),
        predict_ok=torch.tensor([[True, True, True], [True, True, False]]),
        num_visible=(2, 2),
        num_predict=(3, 2),
        copies=1,
    )
    encoded = replace(
        case.encoded,
        view=view_with(layout),
        plan=plan,
        visible=(torch.randn(4, 8),),
        prefix=(torch.randn(2, 8),),
    )
    torch.manual_seed(0)
    module = decoder.build([MAP, LINE], ENCODER)
    rows = module(encoded)
    assert (rows[plan.predict_ok].abs().sum(dim=1) > 0).all()
    as_if_valid = module(replace(encoded, view=view_with(whole)))
    torch.testing.assert_close(rows, as_if_valid)


def test_an_unknown_modality_is_refused():
    with pytest.raises(RecipeError, match="'mop', which never reaches it; did you mean map"):
        SpanDecoder(modality="mop", num_heads=8).build([MAP, LINE], ENCODER)


def test_a_group_without_the_modality_is_refused():
    module = SpanDecoder(modality="map", width=8, num_heads=2).build([MAP, LINE], ENCODER)
    case = make_case()
    with pytest.raises(RecipeError, match="asked to decode a group of"):
        module(replace(case.encoded, view=view_with(case.layout.only(case.layout.spans[1]))))
