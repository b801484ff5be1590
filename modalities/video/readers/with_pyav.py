"""Decoding by PyAV, in the process; the slowest to start, and the one that is always there."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64, UInt8

from modalities.video.readers.frame_index import FrameIndex
from modalities.video.readers.scan import picture_track
from omnimask.foundation.errors import DataError

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer


def version() -> str:
    """Raises ImportError where it cannot be loaded."""
    import av

    return f"{av.__version__} (FFmpeg libavcodec {av.library_versions['libavcodec'][0]})"


def decode(
    path: Path, index: FrameIndex, ids: Int64[np.ndarray, " k"]
) -> UInt8[np.ndarray, "k h w 3"]:
    """Frames `ids` (ascending, each once) as RGB, turned upright."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            stream = picture_track(container, path)
            find = _by_time if index.has_times else _by_counting
            frames = [_upright(frame, path) for frame in find(container, stream, index, ids)]
    except FFmpegError as error:
        raise DataError(
            f"{path}: PyAV cannot decode it ({error}); expected a whole video; replace it"
        ) from error
    if len(frames) < len(ids):
        when_s = index.times_s[ids[len(frames)]]
        raise DataError(
            f"{path}: the frame at {when_s:.2f} s cannot be decoded; expected a whole video; "
            "replace or remove it"
        )
    if len({frame.shape for frame in frames}) > 1:
        raise DataError(
            f"{path}: its frames have several sizes; expected one; re-encode or remove it"
        )
    return np.stack(frames)


def _by_counting(
    container: "InputContainer", stream: "VideoStream", index: FrameIndex, ids: np.ndarray
) -> Iterator["VideoFrame"]:
    wanted = set(ids.tolist())
    for number, frame in enumerate(container.decode(stream)):
        if number in wanted:
            yield frame
        if number >= ids[-1]:
            return


def _by_time(
    container: "InputContainer", stream: "VideoStream", index: FrameIndex, ids: np.ndarray
) -> Iterator["VideoFrame"]:
    """Seeks where a key frame lies between the last frame and the next; stops if one is missing."""
    decoded: Iterator[VideoFrame] = iter(())
    reached = None
    for pts in index.pts[ids].tolist():
        key = int(index.key_pts[max(np.searchsorted(index.key_pts, pts, side="right") - 1, 0)])
        if reached is None or key > reached:
            container.seek(key, stream=stream, backward=True)
            decoded = container.decode(stream)
        frame = _first_from(decoded, pts)
        if frame is None or frame.pts != pts:  # the seek may have landed behind it
            container.seek(int(index.pts[0]), stream=stream, backward=True)
            decoded = container.decode(stream)
            frame = _first_from(decoded, pts)
        if frame is None or frame.pts != pts or frame.is_corrupt:
            return
        reached = pts
        yield frame


def _first_from(frames: Iterator["VideoFrame"], pts: int) -> "VideoFrame | None":
    return next((frame for frame in frames if frame.pts is not None and frame.pts >= pts), None)


def _upright(frame: "VideoFrame", path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """As a player shows it: the file may say that its frames are to be turned."""
    pixels = frame.to_ndarray(format="rgb24")
    if frame.rotation % 90:
        raise DataError(
            f"{path}: is to be shown turned by {frame.rotation} degrees; expected quarter turns; "
            "re-encode or remove it"
        )
    return np.rot90(pixels, k=frame.rotation // 90)
