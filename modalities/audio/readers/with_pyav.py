"""Reading by PyAV, whose wheels bring their own FFmpeg: sound files and sound tracks of videos."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modalities.audio.readers.sound_info import SoundInfo
from omnimask.foundation.errors import DataError

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer

# Decoders carry state from packet to packet (Opus needs 80 ms), so decoding starts this much early.
_LEAD_IN_S = 0.5
# FFmpeg finds a place in these by the bit rate, which may be off by frames: decode from the start.
_NO_EXACT_SEEK = frozenset({"mp3", "aac"})


def version() -> str:
    """Raises ImportError where it cannot be loaded."""
    import av

    return f"{av.__version__} (FFmpeg libavcodec {av.library_versions['libavcodec'][0]})"


def probe(path: Path) -> SoundInfo:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            stream = _sound_track(container, path)
            rate_hz = stream.codec_context.sample_rate
            starts_at = stream.start_time or 0
            offset_s = starts_at * _tick_s(stream) - (container.start_time or 0) / 1e6
            if stream.duration is not None:
                num_ticks = stream.duration
            else:  # Matroska and WebM state no length per track; adding up packets decodes nothing
                num_ticks = max(_packet_ends(container, stream), default=starts_at) - starts_at
            # Ogg counts the encoder's lead-in, which is decoded but not given out.
            lead_in = stream.codec_context.delay if container.format.name == "ogg" else 0
    except FFmpegError as error:
        raise _unreadable(path, error) from error
    if not rate_hz:
        raise DataError(f"{path}: its sound track states no sample rate; re-encode it")
    num_samples = round(num_ticks * _tick_s(stream) * rate_hz) - lead_in
    return SoundInfo(rate_hz=rate_hz, num_samples=max(num_samples, 0), offset_s=max(offset_s, 0.0))


def decode(path: Path, info: SoundInfo, *, start: int, count: int) -> np.ndarray:
    """Samples `start` to `start + count` as (n,) float32, mixed down; fewer where it ends early.

    Exact to the sample, but in Matroska and WebM to a millisecond, the tick of their clock.
    """
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            stream = _sound_track(container, path)
            can_seek = container.format.name not in _NO_EXACT_SEEK
            if can_seek and start > 2 * _LEAD_IN_S * info.rate_hz:
                parts = _parts_after_seek(container, stream, info, start, count)
                if parts is not None:
                    return _mono(parts)
                container.seek(0)
            return _mono(_collect(_positions(container, stream, info, 0), start, count))
    except FFmpegError as error:
        raise _unreadable(path, error) from error


def _parts_after_seek(
    container: "InputContainer", stream: "AudioStream", info: SoundInfo, start: int, count: int
) -> list[np.ndarray] | None:
    """None if the container could only go to a place after `start`."""
    target_s = start / info.rate_hz - _LEAD_IN_S
    ticks = (stream.start_time or 0) + int(target_s / _tick_s(stream))
    container.seek(ticks, stream=stream, backward=True)
    frames = _positions(container, stream, info, None)
    first = next(frames, None)
    if first is None or first[0] > start:
        return None
    return _collect(itertools.chain([first], frames), start, count)


def _positions(
    container: "InputContainer", stream: "AudioStream", info: SoundInfo, position: int | None
) -> Iterator[tuple[int, "AudioFrame"]]:
    """Decoded frames with the index of their first sample; the first from its time if not given."""
    for frame in container.decode(stream):
        if frame.sample_rate != info.rate_hz:
            raise DataError(
                f"{container.name}: the sample rate changes from {info.rate_hz} to "
                f"{frame.sample_rate} Hz inside the file; expected one rate; re-encode it"
            )
        if position is None:
            since_start = (frame.pts or 0) - (stream.start_time or 0)
            position = round(since_start * _tick_s(stream) * info.rate_hz)
        yield position, frame
        position += frame.samples


def _collect(
    frames: Iterator[tuple[int, "AudioFrame"]], start: int, count: int
) -> list[np.ndarray]:
    """Pieces (channels, n) between `start` and `start + count`, of frames in a row."""
    stop, parts = start + count, []
    for position, frame in frames:
        if position >= stop:
            break
        if position + frame.samples > start:
            samples = frame.to_ndarray()
            if not frame.format.is_planar:
                samples = samples.reshape(-1, frame.layout.nb_channels).T
            parts.append(samples[:, max(start - position, 0) : stop - position])
    return parts


def _mono(parts: list[np.ndarray]) -> np.ndarray:
    """The mean of the channels as float32 in [-1, 1]."""
    if not parts:
        return np.zeros(0, dtype=np.float32)
    samples = np.concatenate(parts, axis=1)
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(samples.dtype, np.integer):
        samples = samples.astype(np.float32) / 2.0 ** (8 * samples.dtype.itemsize - 1)
    return samples.mean(axis=0, dtype=np.float32)


def _packet_ends(container: "InputContainer", stream: "AudioStream") -> Iterator[int]:
    for packet in container.demux(stream):
        if packet.pts is not None:
            yield packet.pts + (packet.duration or 0)


def _tick_s(stream: "AudioStream") -> float:
    return float(stream.time_base or 1.0)


def _sound_track(container: "InputContainer", path: Path) -> "AudioStream":
    if not container.streams.audio:
        raise DataError(
            f"{path}: has no sound track; expected sound or a video with sound; leave it out"
        )
    return container.streams.audio[0]


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: PyAV cannot read this sound ({error}); expected a whole sound or video file; "
        "replace it"
    )
