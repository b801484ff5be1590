from typing import Any

import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.masking import MaskPlan, PredictShare, PredictVisible, RandomMask, TubeMask
from omnimask.tokens.tokens import Grid
from tests.unit.masking_cases import keys, layout, part, predicted, visible

RANDOM = RandomMask(ratio=0.75)


def test_a_share_of_the_hidden_tokens_is_predicted():
    whole = layout(toy=part(40, [40, 16, 1]))
    (plan,) = PredictShare(masker=RANDOM, share=1 / 3)(whole, keys(3))
    (plain,) = RANDOM(whole, keys(3))
    assert torch.equal(plan.visible_ids, plain.visible_ids)
    assert plan.num_predict == (10, 4, 0)
    for few, all_hidden in zip(predicted(plan), predicted(plain), strict=True):
        assert set(few) <= set(all_hidden)


def test_every_hidden_token_is_as_likely():
    rows = 2000
    whole = layout(toy=part(8, [8] * rows))
    (plan,) = PredictShare(masker=RandomMask(ratio=0.5), share=0.5)(whole, keys(rows))
    counts = torch.tensor(predicted(plan)).flatten().bincount(minlength=8) / rows
    assert (counts - 0.25).abs().max() < 5 * (0.25 * 0.75 / rows) ** 0.5


def test_visible_tokens_are_predicted_too():
    whole = layout(toy=part(8, [8, 5], extra=1))
    (plan,) = PredictVisible(masker=RANDOM)(whole, keys(2))
    assert predicted(plan) == [list(range(8)), list(range(6))]
    assert plan.num_predict == (8, 6)
    assert visible(plan) == visible(RANDOM(whole, keys(2))[0])


def test_a_share_of_all():
    whole = layout(toy=part(8, [8, 4]))
    (plan,) = PredictShare(masker=PredictVisible(masker=RANDOM), share=0.5)(whole, keys(2))
    assert plan.num_predict == (4, 2)


@pytest.mark.parametrize("share", [0.0, 1.5, 25.0, -1.0])
def test_refuses_what_is_not_a_share(share: float):
    with pytest.raises(RecipeError, match=r"PredictShare.share must be in \(0, 1\]"):
        PredictShare(masker=RANDOM, share=share)


def test_refuses_a_share_that_would_have_no_effect():
    with pytest.raises(RecipeError, match="write PredictShare"):
        PredictVisible(masker=PredictShare(masker=RANDOM, share=0.5))


@pytest.mark.parametrize(
    "wrap", [PredictVisible, lambda masker: PredictShare(masker=masker, share=0.5)]
)
def test_checks_what_is_inside(wrap):
    with pytest.raises(RecipeError, match="no grid"):
        wrap(masker=TubeMask()).check(None, "cloud")


class Twice:
    """A masker with two plans that are one."""

    def __call__(self, *arguments: Any) -> list[MaskPlan]:
        return RANDOM(*arguments) * 2

    def check(self, grid: Grid | None, modality: str) -> None: ...


def test_every_plan_of_a_sample_has_a_share_of_its_own():
    first, second = PredictShare(masker=Twice(), share=0.5)(layout(toy=part(40, [40])), keys(1))
    assert torch.equal(first.visible_ids, second.visible_ids)
    assert predicted(first) != predicted(second)
