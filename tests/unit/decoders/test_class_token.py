import pytest
import torch

from omnimask.decoders import ClassTokenDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoder
from tests.unit.decoder_cases import make_case, run


def test_every_predicted_token_gets_the_class_token_of_its_row():
    case = make_case()
    _, rows = run(ClassTokenDecoder(), case)
    for row in range(4):
        for vector in rows[row]:
            assert torch.equal(vector, case.encoded.prefix[0][row])


def test_an_encoder_without_a_class_token_is_refused():
    with pytest.raises(RecipeError, match=r"encoder.class_token=False; write True"):
        ClassTokenDecoder().build([], Encoder(class_token=False))
