from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnimask.decoders import DepthDecoder
from omnimask.foundation.errors import RecipeError
from tests.unit.decoder_cases import ENCODER, build, make_case, run

LAYERS = (-1, -3)
DEEP = DepthDecoder(width=8, num_heads=2, num_plain=1, layers_read=LAYERS)


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One row, two heads of four, in the formula's own words."""
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        weights = (q[:, head] @ k[:, head].T / 4**0.5).softmax(dim=1)
        heads.append(weights @ v[:, head])
    return torch.cat(heads, dim=1)


def by_hand(module: nn.Module, case, row: int) -> Tensor:
    """What a row's predicted tokens become, one row alone."""
    m, plan = module, case.plan
    first, last = (sum(plan.num_visible[: row + n]) for n in (0, 1))
    own = slice(row * ENCODER.num_prefix, (row + 1) * ENCODER.num_prefix)
    seen = [
        torch.cat([prefix[own], visible[first:last]])
        for prefix, visible in zip(case.encoded.prefix, case.encoded.visible, strict=True)
    ]
    where = m.places(case.layout, case.encoded.packed_visible())[first:last]
    start, stop = (sum(plan.num_predict[: row + n]) for n in (0, 1))
    masks = m.mask_token + m.places(case.layout, case.encoded.packed_predict())[start:stop]
    x = torch.cat([m.project(seen[0][:ENCODER.num_prefix]),
                   m.project(seen[0][ENCODER.num_prefix:]) + where, masks])  # fmt: skip
    for block in m.plain:
        q, k, v = block.attn.qkv(block.norm1(x)).chunk(3, dim=1)
        x = x + block.attn.proj(attended(q, k, v))
        x = x + block.mlp(block.norm2(x))
    for entry, project, block in zip((1, 2), m.contexts, m.blocks, strict=True):
        q, k, v = block.self_attn.qkv(block.norm_self(x)).chunk(3, dim=1)
        x = x + block.self_attn.proj(attended(q, k, v))
        k, v = block.cross_attn.kv(project(seen[entry])).chunk(2, dim=1)
        q = block.cross_attn.q(block.norm_cross(x))
        x = x + block.cross_attn.proj(attended(q, k, v))
        x = x + block.mlp(block.norm_mlp(x))
    return F.layer_norm(x, (8,), m.norm.weight, m.norm.bias, 1e-6)[-len(masks) :]


def test_it_is_the_formula_of_its_paper_row_by_row():
    case = make_case(num_layers=1 + len(LAYERS))
    module, rows = run(DEEP, case)
    for row, count in enumerate(case.plan.num_predict):
        torch.testing.assert_close(rows[row, :count], by_hand(module, case, row))


def test_each_block_reads_its_own_depth_alone():
    """Without a linear layer for a depth nothing of that depth arrives."""
    case = make_case(num_layers=1 + len(LAYERS))
    module, before = run(DEEP, case)
    for number in range(len(LAYERS)):
        changed = list(case.encoded.visible)
        changed[1 + number] = changed[1 + number] + 1.0
        other = replace(case.encoded, visible=tuple(changed))
        assert not torch.allclose(module(other), before)
        kept = module.contexts[number].weight.data.clone()
        module.contexts[number].weight.data.zero_()
        torch.testing.assert_close(module(other), module(case.encoded))
        module.contexts[number].weight.data.copy_(kept)


def test_the_same_depth_may_be_read_twice():
    twice = replace(DEEP, layers_read=(-2, -2))
    assert twice.layers(ENCODER) == (-2,)
    module, _ = run(twice, make_case(num_layers=2))
    assert len(module.contexts) == len(module.blocks) == 2


def test_depths_that_are_not_there_are_refused():
    with pytest.raises(RecipeError, match=r"-1 to -3 \(encoder.depth\), got \(-1, -4\)"):
        build(replace(DEEP, layers_read=(-1, -4)))
    with pytest.raises(RecipeError, match="one layer or more"):
        DepthDecoder(layers_read=())
