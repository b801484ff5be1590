"""Which frames of a video are taken, and which settings cannot be."""

import numpy as np
import pytest

from modalities.video import VideoFiles, VideoTubelets
from modalities.video.sampling import at_rate, every_nth
from omnimask.foundation.errors import RecipeError


def clock(num_frames: int, rate_hz: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(num_frames) / rate_hz, np.arange(1, num_frames + 1) / rate_hz


@pytest.mark.parametrize(
    ("num", "place", "ids"),
    [(20, 0.0, [0, 3, 6, 9]), (20, 0.999, [10, 13, 16, 19]), (8, 0.999, [1, 4, 7]), (1, 0.5, [0])],
)
def test_every_nth(num: int, place: float, ids: list[int]) -> None:
    chosen = every_nth(*clock(num), num_frames=4, stride=3, place=place, center_s=None)
    assert chosen.ids.tolist() == ids
    assert chosen.center_s == pytest.approx((ids[0] + ids[-1] + 1) / 20)


@pytest.mark.parametrize(
    ("center_s", "ids"), [(1.0, [5, 8, 11, 14]), (-3.0, [0, 3, 6, 9]), (99.0, [10, 13, 16, 19])]
)
def test_every_nth_around_a_centre(center_s: float, ids: list[int]) -> None:
    chosen = every_nth(*clock(20), num_frames=4, stride=3, place=0.0, center_s=center_s)
    assert chosen.ids.tolist() == ids


def test_at_rate_goes_by_presentation_times() -> None:
    times_s = np.array([0.0, 0.1, 0.5, 0.55, 0.9])
    ends_s = np.array([0.1, 0.5, 0.55, 0.9, 1.2])
    chosen = at_rate(times_s, ends_s, num_frames=8, rate_hz=5.0, place=0.0, center_s=None)
    assert chosen.ids.tolist() == [0, 1, 1, 3, 3, 4]  # at 0, 0.2, 0.4, 0.6, 0.8 and 1.0 s
    assert chosen.center_s == pytest.approx(0.6)


def test_at_rate_around_a_centre() -> None:
    chosen = at_rate(*clock(30), num_frames=4, rate_hz=5.0, place=0.9, center_s=2.0)
    assert chosen.ids.tolist() == [16, 18, 20, 22]
    assert chosen.center_s == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("fields", "fix"),
    [
        ({"frame_stride": 4, "rate_hz": 8.0}, "frame_stride=None"),
        ({"frame_stride": None}, "exactly one"),
        ({"frame_stride": 0}, "positive"),
        ({"crop_scale": (0.5, 2.0)}, "crop_scale"),
    ],
)
def test_impossible_views_are_refused(fields: dict[str, object], fix: str) -> None:
    with pytest.raises(RecipeError, match=fix):
        VideoFiles(**fields)  # pyright: ignore[reportArgumentType] wrong on purpose


def test_sizes_that_do_not_fit_are_refused_with_a_fix() -> None:
    with pytest.raises(RecipeError, match=r"num_frames=14, size=\(224, 224\)"):
        VideoTubelets(num_frames=15, size=(230, 224))
