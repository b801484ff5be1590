import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.masking import AxisMask
from tests.unit.masking_cases import keys, layout, part, shown

SOUND = {"t": 10, "f": 4}


def test_whole_slices_are_hidden():
    (plan,) = AxisMask(ratio=0.3, axis="t")(layout(sound=part(SOUND, [40, 20])), keys(2))
    moments = shown(plan, 40).reshape(2, 10, 4).sum(dim=2)
    assert set(moments.flatten().tolist()) == {0, 4}
    assert (moments > 0).sum(dim=1).tolist() == [7, 3]  # 3.5 of 5 rounded down


def test_a_band_is_contiguous_and_can_stand_anywhere():
    rows = 400
    masker = AxisMask(ratio=0.3, axis="t", contiguous=True)
    (plan,) = masker(layout(sound=part(SOUND, [40] * rows)), keys(rows))
    hidden = ~shown(plan, 40).reshape(rows, 10, 4)
    assert (hidden == hidden[:, :, :1]).all()
    slices = hidden[:, :, 0]
    assert slices.sum(dim=1).tolist() == [3] * rows
    starts = slices.int().argmax(dim=1)
    assert all(slices[row, start : start + 3].all() for row, start in enumerate(starts))
    counts = starts.bincount(minlength=8)
    assert len(counts) == 8
    assert counts.min() > 20  # 50 expected, sigma 6.6


def test_a_band_stays_within_a_short_recording():
    masker = AxisMask(ratio=0.5, axis="t", contiguous=True)
    (plan,) = masker(layout(sound=part(SOUND, [24, 40])), keys(2))
    hidden = ~shown(plan, 40).reshape(2, 10, 4)[0, :6, 0]
    assert hidden.sum() == 3
    start = int(hidden.int().argmax())
    assert hidden[start : start + 3].all()


@pytest.mark.parametrize(
    ("axis", "grid", "message"),
    [
        ("freq", {"t": 4, "freqs": 2}, r"sound has t=4 × freqs=2.*did you mean freqs\?"),
        ("t", {"t": 1, "f": 2}, "has only one"),
        ("t", None, "no grid"),
    ],
)
def test_says_what_does_not_fit(axis: str, grid: dict[str, int] | None, message: str):
    with pytest.raises(RecipeError, match=message):
        AxisMask(ratio=0.5, axis=axis).check(grid, "sound")
