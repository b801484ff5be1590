from omnimask.masking import (
    BlockMask,
    Copies,
    GuidedMask,
    PerModality,
    PredictShare,
    RandomMask,
    SeveralMasks,
    asked_hints,
)


def test_asked_hints_finds_them_inside_other_maskers():
    loss, attention = GuidedMask(hint="loss"), GuidedMask(hint="attention")
    inside = PerModality(masks={"image": Copies(masker=loss, copies=2), "text": RandomMask()})
    several = SeveralMasks(masks=(attention, PredictShare(masker=inside, share=0.5), loss))
    assert asked_hints(loss) == ("loss",)
    assert asked_hints(several) == ("attention", "loss")
    assert asked_hints(BlockMask()) == ()
