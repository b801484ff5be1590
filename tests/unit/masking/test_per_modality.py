import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking import Copies, HideAll, MaskPlan, PerModality, RandomMask, TubeMask
from omnimask.masking.plan import SpanChoice
from omnimask.tokens.tokens import Grid, Layout
from tests.unit.masking_cases import keys, layout, part, visible

MASKS = PerModality(masks={"image": RandomMask(ratio=0.75), "sound": RandomMask(ratio=0.5)})


def test_each_modality_has_its_own_ratio():
    (plan,) = MASKS(layout(sound=part(8, [8, 6]), image=part(16, [16, 16])), keys(2))
    assert [sum(i < 8 for i in row) for row in visible(plan)] == [4, 3]
    assert plan.num_visible == (4 + 4, 3 + 4)
    assert plan.num_predict == (4 + 12, 3 + 12)


def test_one_masker_for_all_gives_the_same_as_without():
    whole = layout(sound=part(8, [8, 6]), image=part(16, [16, 16]))
    masker = RandomMask(ratio=0.5)
    (plan,) = PerModality(masks={"sound": masker, "image": masker})(whole, keys(2))
    (plain,) = masker(whole, keys(2))
    assert torch.equal(plan.visible_ids, plain.visible_ids)
    assert torch.equal(plan.predict_ids, plain.predict_ids)


def test_beside_others_a_modality_may_have_another_masker():
    told = PerModality(masks=MASKS.masks, beside={"sound": HideAll()})
    both = layout(sound=part(8, [8, 6]), image=part(16, [16, 16]))
    (plan,) = told(both, keys(2))
    assert [sum(i < 8 for i in row) for row in visible(plan)] == [0, 0]
    assert plan.num_visible == (4, 4)
    assert plan.num_predict == (8 + 12, 6 + 12)
    alone = layout(sound=part(8, [8, 6]))
    (plan,), (as_ever,) = told(alone, keys(2)), MASKS(alone, keys(2))
    assert torch.equal(plan.visible_ids, as_ever.visible_ids)


def test_a_name_beside_that_no_modality_has_is_refused():
    with pytest.raises(RecipeError, match=r"no masker for 'sounds'; did you mean sound\?"):
        PerModality(masks=MASKS.masks, beside={"sounds": HideAll()})


def test_a_modality_without_a_masker_is_named():
    with pytest.raises(RecipeError, match=r"no masker for 'images'; did you mean image\?"):
        MASKS.check(None, "images")
    with pytest.raises(RecipeError, match="no masker for 'table'; known: image, sound"):
        MASKS(layout(table=part(3, [3])), keys(1))


def test_check_reaches_the_modalitys_own_masker():
    with pytest.raises(RecipeError, match="TubeMask needs an axis 't'"):
        PerModality(masks={"cloud": TubeMask()}).check(None, "cloud")


def test_modalities_of_one_group_must_agree_in_copies():
    masks = PerModality(
        masks={"a": Copies(masker=RandomMask(), copies=2), "b": RandomMask(ratio=0.5)}
    )
    (alone,) = masks(layout(a=part(8, [8, 8])), keys(2))
    assert alone.copies == 2
    with pytest.raises(RecipeError, match=r"a: 1 plans with \[2\] copies, b: 1 plans with \[1\]"):
        masks(layout(a=part(8, [8]), b=part(8, [8])), keys(1))


class Hinted:
    """Shows the three tokens with the lowest hint."""

    def check(self, grid: Grid | None, modality: str) -> None:
        pass

    def __call__(
        self, layout: Layout, rng: Rng, hints=None, progress: float = 0.0
    ) -> list[MaskPlan]:
        assert hints is not None
        return [MaskPlan.by_span(layout, [SpanChoice(scores=hints["hint"], num_visible=(3,))])]


def test_hints_are_cut_to_the_span():
    masks = PerModality(masks={"a": RandomMask(ratio=0.5), "b": Hinted()})
    hints = {"hint": torch.tensor([[9.0, 9.0, 3.0, 4.0, 0.0, 1.0]])}
    (plan,) = masks(layout(a=part(2, [2]), b=part(4, [4])), keys(1), hints)
    assert [i for i in visible(plan)[0] if i >= 2] == [2, 4, 5]
