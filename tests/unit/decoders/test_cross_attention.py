from dataclasses import replace

import pytest
import torch

from omnimask.decoders import CrossAttentionDecoder
from omnimask.foundation.errors import RecipeError
from tests.unit.decoder_cases import ENCODER, LINE, MAP, make_case, run

MIXED = CrossAttentionDecoder(width=8, depth=2, num_heads=2, mix_layers=True)


def test_every_block_reads_a_mix_of_its_own():
    module, rows = run(MIXED, make_case(num_layers=1 + ENCODER.depth))
    (rows * torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    assert module.mix.shape == (2, 1 + ENCODER.depth)
    assert (module.mix.grad.abs() > 1e-6).all()


def test_a_mix_begins_as_the_mean_and_follows_its_weights():
    case = make_case(num_layers=1 + ENCODER.depth)
    module, rows = run(MIXED, case)
    with torch.no_grad():
        module.mix.zero_()
        module.mix[:, 2] = 1.0
    chosen = module(case.encoded)
    assert not torch.allclose(chosen, rows)
    alone = run(
        CrossAttentionDecoder(width=8, depth=2, num_heads=2),
        make_case(num_layers=1 + ENCODER.depth),
    )[0]
    alone.load_state_dict({k: v for k, v in module.state_dict().items() if k != "mix"})
    third = case.encoded.with_layers((-2,), among=(-3, -2, -1))
    layers = {n: getattr(third, n)[1:] for n in ("prefix", "visible", "predict")}
    torch.testing.assert_close(alone(replace(third, **layers)), chosen)


def test_the_official_sources_are_all_blocks_and_what_enters_the_first():
    """Not the normalised output; without its weights, since nothing would train them."""
    official = replace(MIXED, mix_layers="inputs")
    assert official.layers(ENCODER) == (-4, -3, -2, -1)
    case = make_case(num_layers=2 + ENCODER.depth)
    module = official.build((MAP, LINE), replace(ENCODER, norm_weights=False))
    before = module(case.encoded)
    changed = [torch.zeros_like(part) for part in case.encoded.visible]
    for number, part in enumerate(case.encoded.visible):
        visible = list(case.encoded.visible)
        visible[number] = changed[number]
        after = module(replace(case.encoded, visible=tuple(visible)))
        assert torch.equal(before, after) == (number == 0), number
        assert part.any()
    with pytest.raises(RecipeError, match="norm_weights=False"):
        official.build((MAP, LINE), ENCODER)
