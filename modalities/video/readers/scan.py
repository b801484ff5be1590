"""One pass over a file with PyAV: is it whole, and what does it say of its frames?

Nothing but the first frame is decoded. Every file goes through this before any decoder sees it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omnimask.foundation.errors import DataError

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

# How much sooner than stated a file may end; what is left of it is whole all the same.
_END_SLACK_S = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class FramePacket:
    """A compressed frame; presentation and decoding times, in ticks, where the file says them."""

    pts: int | None
    dts: int | None
    duration: int
    is_key: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """The frames that are shown, in file order, and how the file says they are to be read."""

    packets: list[FramePacket]
    is_turned: bool
    is_avi: bool  # which states no presentation times, only an order
    tick_s: float
    start_s: float
    rate_hz: float


def scan_file(path: Path) -> Scan:
    """`DataError` naming the file if it has no picture track, or is damaged or cut off."""
    import av
    from av.error import FFmpegError

    if not path.is_file() or path.stat().st_size == 0:
        raise DataError(f"{path}: is empty or gone; expected a video; replace or remove it")
    try:
        with av.open(str(path)) as container:
            return _scan(container, picture_track(container, path), path)
    except (FFmpegError, UnicodeDecodeError) as error:  # the latter for metadata of noise
        raise DataError(
            f"{path}: PyAV cannot read it ({error}); expected a whole video file, which an MP4 "
            "without its end is not; replace or remove it"
        ) from error


def picture_track(container: "InputContainer", path: Path) -> "VideoStream":
    """The video track that FFmpeg thinks best, as decord and torchcodec take it."""
    from av import VideoStream
    from av.stream import Disposition

    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise DataError(f"{path}: has no video track; expected a video; remove it")
    if stream.codec_context is None:  # PyAV's types say never
        raise DataError(f"{path}: PyAV has no decoder for its video track; re-encode or remove it")
    stream.codec_context.thread_count = 1  # loader workers are the parallelism
    return stream


def _scan(container: "InputContainer", stream: "VideoStream", path: Path) -> Scan:
    """Goes through all tracks: a sound track that lasts longer tells of a cut as well."""
    packets: list[FramePacket] = []
    first: VideoFrame | None = None
    end_s = 0.0
    for packet in container.demux():
        if packet.is_corrupt:
            raise DataError(
                f"{path}: is cut off or damaged inside a frame (byte {packet.pos}); expected a "
                "whole video; replace or remove it"
            )
        duration = packet.duration or 0
        if packet.pts is not None and packet.time_base is not None:
            end_s = max(end_s, float((packet.pts + duration) * packet.time_base))
        if packet.stream_index != stream.index:
            continue
        if first is None:
            first = next(iter(stream.decode(packet)), None)
        # Frames before the first key frame cannot be decoded; an empty packet ends the file.
        if packet.size and not packet.is_discard and (packets or packet.is_keyframe):
            is_key = bool(packet.is_keyframe)
            packets.append(
                FramePacket(pts=packet.pts, dts=packet.dts, duration=duration, is_key=is_key)
            )
    _check_end(container, stream, path, end_s)
    if not packets or first is None:
        raise DataError(f"{path}: has no frame that can be decoded; replace or remove it")
    return Scan(
        packets=packets,
        is_turned=first.rotation != 0,
        is_avi=container.format.name == "avi",
        tick_s=float(stream.time_base or 0),
        start_s=(container.start_time or 0) / 1e6,
        rate_hz=float(stream.average_rate or stream.guessed_rate or 0),
    )


def _check_end(
    container: "InputContainer", stream: "VideoStream", path: Path, end_s: float
) -> None:
    """Not where the file does not state its length, as a WebM recorded by a browser."""
    if container.format.name == "avi":  # whose length FFmpeg works out from the file's size
        stated_s = float((stream.duration or 0) * (stream.time_base or 0))
    else:
        stated_s = ((container.start_time or 0) + (container.duration or 0)) / 1e6
    if container.duration and end_s < stated_s - _END_SLACK_S:
        raise DataError(
            f"{path}: ends after {end_s:.2f} s, but states {stated_s:.2f} s; it is cut off; "
            "replace or remove it"
        )
