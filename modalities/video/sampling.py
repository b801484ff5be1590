"""Which frames of a video make a clip: pure arithmetic on the times of its frames."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

# On a clock of milliseconds a frame may come this much later than the instant that it is meant for.
_LATE_TICK_S = 5e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFrames:
    """`ids` of frames in the order shown, ascending, and the middle of the clip in seconds."""

    ids: Int64[np.ndarray, " k"]
    center_s: float


def every_nth(
    times_s: Float64[np.ndarray, " n"],
    ends_s: Float64[np.ndarray, " n"],
    *,
    num_frames: int,
    stride: int,
    place: float,
    center_s: float | None,
) -> ClipFrames:
    """Every `stride`-th frame, at most `num_frames`; fewer if the video is too short.

    The clip starts at the share `place` in [0, 1) of the possible starts, or where its middle is
    nearest to `center_s` if that is given.
    """
    count = min(num_frames, (len(times_s) - 1) // stride + 1)
    span = (count - 1) * stride
    num_starts = len(times_s) - span
    centers_s = (times_s[:num_starts] + ends_s[span:]) / 2
    start = int(place * num_starts)
    if center_s is not None:
        start = int(np.abs(centers_s - center_s).argmin())
    ids = start + stride * np.arange(count)
    return ClipFrames(ids=ids, center_s=float(centers_s[start]))


def at_rate(
    times_s: Float64[np.ndarray, " n"],
    ends_s: Float64[np.ndarray, " n"],
    *,
    num_frames: int,
    rate_hz: float,
    place: float,
    center_s: float | None,
) -> ClipFrames:
    """The frames that are seen at instants 1 / `rate_hz` apart, whatever the video's own rate.

    A frame is repeated if it is seen at several instants. At most `num_frames`; fewer if the video
    is too short. `place` and `center_s` as in `every_nth`.
    """
    first_s, length_s = float(times_s[0]), float(ends_s[-1] - times_s[0])
    count = min(num_frames, max(int(length_s * rate_hz + 1e-6), 1))
    clip_s = count / rate_hz
    slack_s = max(length_s - clip_s, 0.0)
    start_s = place * slack_s
    if center_s is not None:
        start_s = min(max(center_s - clip_s / 2 - first_s, 0.0), slack_s)
    instants_s = first_s + start_s + np.arange(count) / rate_hz + _LATE_TICK_S
    ids = np.searchsorted(times_s, instants_s, side="right") - 1
    return ClipFrames(ids=ids.clip(0), center_s=first_s + start_s + clip_s / 2)
