"""Whether a decoder means the same frames as the index."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from modalities.video.readers.frame_index import FrameIndex
from omnimask.foundation.errors import DataError

# decord gives times in fp32, which is good to a millisecond for three hours.
_SLACK_S = 2e-3


def check_times(
    path: Path,
    index: FrameIndex,
    ids: Int64[np.ndarray, " k"],
    times_s: Float[np.ndarray, " k"],
    *,
    by: str,
) -> None:
    """`DataError` if `times_s`, the file's times of the frames given, are not those of `ids`."""
    late_s = np.abs(times_s - index.pts[ids] * index.tick_s).max()
    if not late_s <= _SLACK_S:
        raise DataError(
            f"{path}: {by} gives a frame {late_s:.3f} s away from the one that was asked for; "
            "use another backend, or re-encode the file"
        )
