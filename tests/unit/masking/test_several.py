import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import from_json, to_json
from omnimask.masking import (
    Copies,
    GuidedMask,
    MultiBlockMask,
    RandomMask,
    SeveralMasks,
    TubeMask,
)
from tests.unit.masking_cases import keys, layout, part, shown, visible

JEPA = SeveralMasks(masks=(MultiBlockMask(), MultiBlockMask(num_blocks=2, share=0.7)))


def test_one_plan_after_the_other():
    whole = layout(video=part({"t": 2, "h": 8, "w": 8}, [128, 64]))
    short, long = JEPA(whole, keys(2))
    for number, (plan, masker) in enumerate(zip((short, long), JEPA.masks, strict=True)):
        (alone,) = masker(whole, keys(2).child(number))
        assert visible(plan) == visible(alone)
    assert short.num_visible > long.num_visible


def test_like_maskers_draw_differently():
    whole = layout(toy=part(40, [40]))
    first, second = SeveralMasks(masks=(RandomMask(), RandomMask()))(whole, keys(1))
    assert visible(first) != visible(second)


def test_hints_and_progress_reach_every_masker():
    whole = layout(toy=part(6, [6]))
    guided = GuidedMask(ratio=0.5, hint="hard", stop=1.0)
    plans = SeveralMasks(masks=(guided, guided))(
        whole, keys(1), {"hard": torch.arange(6.0)[None]}, 1.0
    )
    assert [shown(plan, 6)[0, :3].all() for plan in plans] == [True, True]


def test_copies_of_several_and_several_copies():
    whole = layout(toy=part(20, [20, 9]))
    plans = Copies(masker=SeveralMasks(masks=(RandomMask(), RandomMask())), copies=3)(
        whole, keys(2)
    )
    assert [plan.copies for plan in plans] == [3, 3]
    inside = SeveralMasks(masks=(Copies(masker=RandomMask(), copies=2), RandomMask()))
    assert [plan.copies for plan in inside(whole, keys(2))] == [2, 1]


def test_goes_through_json_and_checks_every_masker():
    assert from_json(to_json(JEPA)) == JEPA
    with pytest.raises(RecipeError, match="no grid"):
        SeveralMasks(masks=(RandomMask(), TubeMask())).check(None, "cloud")
    with pytest.raises(RecipeError, match="masks is empty"):
        SeveralMasks(masks=())
