from dataclasses import dataclass

from omnimask.masking import (
    BlockMask,
    Copies,
    Copying,
    GuidedMask,
    Hinted,
    PerModality,
    PredictShare,
    RandomMask,
    SeveralMasks,
    asked_hints,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow:
    """A masker of somebody else's: what it says of itself counts, not its type."""

    hint: str
    copies: int = 2


def test_a_masker_says_by_protocols_what_it_needs():
    assert isinstance(GuidedMask(hint="loss"), Hinted)
    assert isinstance(Copies(masker=RandomMask(), copies=2), Copying)
    assert isinstance(Slow(hint="loss"), Hinted)
    assert isinstance(Slow(hint="loss"), Copying)
    assert not isinstance(RandomMask(), Hinted | Copying)


def test_asked_hints_finds_them_inside_other_maskers():
    loss, attention = GuidedMask(hint="loss"), GuidedMask(hint="attention")
    inside = PerModality(masks={"image": Copies(masker=loss, copies=2), "text": RandomMask()})
    several = SeveralMasks(masks=(attention, PredictShare(masker=inside, share=0.5), loss))
    assert asked_hints(loss) == ("loss",)
    assert asked_hints(several) == ("attention", "loss")
    assert asked_hints(BlockMask()) == ()
