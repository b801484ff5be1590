import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.masking import TubeMask
from tests.unit.masking_cases import keys, layout, part, shown

VIDEO = {"t": 4, "h": 3, "w": 5}


def test_all_frames_of_a_clip_are_masked_alike():
    (plan,) = TubeMask(ratio=0.7)(layout(video=part(VIDEO, [60, 60])), keys(2))
    frames = shown(plan, 60).reshape(2, 4, 15)
    assert (frames == frames[:, :1]).all()
    assert frames.sum(dim=2).tolist() == [[4] * 4] * 2  # 4.5 rounded down


def test_a_short_clip_shows_as_many_places_in_its_frames():
    (plan,) = TubeMask(ratio=0.7)(layout(video=part(VIDEO, [60, 30])), keys(2))
    frames = shown(plan, 60).reshape(2, 4, 15)
    assert frames[1].sum(dim=1).tolist() == [4, 4, 0, 0]
    assert (frames[1, 0] == frames[1, 1]).all()
    assert plan.num_predict == (44, 22)


def test_tubes_along_a_later_axis_are_whole_in_a_short_recording():
    (plan,) = TubeMask(ratio=0.5, axis="f")(
        layout(sound=part({"t": 10, "f": 4}, [40, 24])), keys(2)
    )
    moments = shown(plan, 40).reshape(2, 10, 4).sum(dim=2)
    assert set(moments.flatten().tolist()) == {0, 4}
    assert (moments > 0).sum(dim=1).tolist() == [5, 3]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            None,
            "TubeMask needs an axis 't', points has no grid; use RandomMask or NearestMask",
        ),
        (
            {"h": 2, "w": 2},
            r"points has h=2 × w=2; use RandomMask or an axis that points has \(known: h, w\)",
        ),
        ({"t": 4, "h": 1}, "only one place"),
    ],
)
def test_says_what_does_not_fit(grid: dict[str, int] | None, message: str):
    with pytest.raises(RecipeError, match=message):
        TubeMask().check(grid, "points")
