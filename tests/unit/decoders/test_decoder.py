import pytest
import torch

from omnimask.decoders import ClassTokenDecoder, NoDecoder, check_hidden
from omnimask.decoders.decoder import place_visible, predicted_rows, present_tokens
from omnimask.foundation.errors import RecipeError
from omnimask.masking.plan import MaskPlan
from tests.unit.decoder_cases import MAP, layout_of

PLAN = MaskPlan(
    visible_ids=torch.tensor([[1, 3], [2, 0]]),
    visible_ok=torch.tensor([[True, True], [True, False]]),
    predict_ids=torch.tensor([[0], [0]]),
    predict_ok=torch.tensor([[True], [False]]),
    num_visible=(2, 1),
    num_predict=(1, 0),
)


def test_visible_tokens_are_put_at_their_places():
    packed = torch.tensor([[1.0], [2.0], [3.0]])
    placed, shown = place_visible(packed, PLAN, num_tokens=4)
    assert placed[:, :, 0].tolist() == [[0, 1, 0, 2], [0, 0, 3, 0]]
    assert shown.tolist() == [[False, True, False, True], [False, False, True, False]]


def test_predicted_rows_are_zero_where_there_is_none():
    rows = predicted_rows(torch.ones(2, 4, 3), PLAN)
    assert rows[:, 0, 0].tolist() == [1, 0]


def test_copies_of_a_sample_have_the_same_tokens():
    present = present_tokens(layout_of([(MAP, (12, 8))]), 2)
    assert present.sum(dim=1).tolist() == [12, 12, 8, 8]


@pytest.mark.parametrize("hidden", ["drop", "replace"])
def test_any_goes_with_both(hidden: str):
    check_hidden(ClassTokenDecoder(), name="class", hidden=hidden)


def test_a_decoder_that_needs_the_other_is_named():
    with pytest.raises(RecipeError, match=r"decoders\['main'\] is a NoDecoder, which needs"):
        check_hidden(NoDecoder(), name="main", hidden="drop")
