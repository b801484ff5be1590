"""What `adapt` does whatever the modality: keep the blocks, copy, refuse."""

import pytest
import torch

from omnimask import RecipeError
from omnimask.network.encoder import Encoder
from omnimask.transfer.adapting import adapt
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder
from tests.unit.toy import Toy


@pytest.fixture
def encoder() -> PretrainedEncoder:
    toys = (Toy(), Toy(name="other", num_tokens=6, num_values=3))
    return PretrainedEncoder(
        EncoderInfo(
            name="toy", modalities=toys, encoder=Encoder(width=16, depth=2, num_heads=2), origin={}
        )
    )


def test_only_the_modalities_asked_for_remain_and_nothing_is_shared(encoder: PretrainedEncoder):
    adapted, lines = adapt(encoder, [encoder.info.modality("other")])
    assert list(adapted.modalities) == ["other"]
    assert lines == ()
    assert adapted.info.origin == encoder.info.origin
    before = encoder.hash()
    own = encoder.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in adapted.state_dict().items())
    with torch.no_grad():
        for parameter in adapted.parameters():
            parameter.zero_()
    assert encoder.hash() == before


def test_a_modality_it_never_saw_is_refused(encoder: PretrainedEncoder):
    with pytest.raises(RecipeError, match="never saw 'third'"):
        adapt(encoder, [Toy(name="third")])


def test_another_type_under_the_same_name_is_refused(encoder: PretrainedEncoder):
    from modalities.points import PointGroups

    with pytest.raises(RecipeError, match=r"pretrained as Toy .* adapted to PointGroups"):
        adapt(encoder, [PointGroups(name="toy")])


def test_a_modality_that_does_not_say_how_must_fit(encoder: PretrainedEncoder):
    longer, _ = adapt(encoder, [Toy(num_tokens=12)])  # the toy's weights know no length
    assert longer.info.modality("toy").num_tokens == 12
    with pytest.raises(RecipeError, match="does not say how to adapt it"):
        adapt(encoder, [Toy(num_values=5)])
