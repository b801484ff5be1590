import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.masking import Copies, NearestMask, RandomMask, TubeMask
from tests.unit.masking_cases import keys, layout, part, visible


def test_copies_of_a_sample_stand_together_and_differ():
    whole = layout(toy=part(20, [20, 8]))
    (plan,) = Copies(masker=RandomMask(ratio=0.5), copies=4)(whole, keys(2))
    assert plan.copies == 4
    assert plan.num_visible == (10,) * 4 + (4,) * 4
    assert len({tuple(row) for row in visible(plan)[:4]}) == 4


def test_nested_copies_multiply():
    whole = layout(toy=part(20, [20, 8]))
    masker = Copies(masker=Copies(masker=NearestMask(), copies=2), copies=3)
    (plan,) = masker(whole, keys(2))
    assert plan.copies == 6
    assert plan.num_visible == (8,) * 6 + (3,) * 6


def test_one_copy_is_the_mask_itself():
    whole = layout(toy=part(20, [20, 8]))
    (plan,) = Copies(masker=RandomMask(), copies=1)(whole, keys(2))
    (plain,) = RandomMask()(whole, keys(2))
    assert torch.equal(plan.visible_ids, plain.visible_ids)


def test_refuses_no_copies_and_checks_what_it_copies():
    with pytest.raises(RecipeError, match="must be >= 1, got 0"):
        Copies(masker=RandomMask(), copies=0)
    with pytest.raises(RecipeError, match="no grid"):
        Copies(masker=TubeMask(), copies=2).check(None, "cloud")
