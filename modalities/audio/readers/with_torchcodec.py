"""Reading by torchcodec, which needs the shared libraries of an FFmpeg on the system."""

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modalities.audio.readers.sound_info import SoundInfo
from omnimask.foundation.errors import DataError

if TYPE_CHECKING:
    # The documented place of this class; torchcodec has no `__all__` that says so.
    from torchcodec.decoders import AudioDecoder  # pyright: ignore[reportPrivateImportUsage]

_MARGIN_S = 0.5
_SAID_WITHOUT_SOUND = ("No valid stream found", "best audio stream is unknown")


def version() -> str:
    """Raises ImportError where it cannot be loaded."""
    # torchcodec documents this name but does not list it in an `__all__`.
    from torchcodec import ffmpeg_major_version  # pyright: ignore[reportPrivateImportUsage]

    own = importlib.metadata.version("torchcodec")
    if ffmpeg_major_version is None:
        raise ImportError(
            f"torchcodec {own} finds no FFmpeg libraries (versions 4 to 9); install FFmpeg, for "
            "example by `apt-get install ffmpeg`"
        )
    return f"{own} (FFmpeg {ffmpeg_major_version})"


def probe(path: Path) -> SoundInfo:
    metadata = _open(path).metadata
    rate_hz, duration_s = metadata.sample_rate, metadata.duration_seconds_from_header
    if not rate_hz or duration_s is None:
        raise DataError(
            f"{path}: states no sample rate or no length of its sound track, which is usual in "
            "Matroska and WebM; torchcodec cannot tell where it ends; use backend='pyav'"
        )
    return SoundInfo(rate_hz=rate_hz, num_samples=round(duration_s * rate_hz))


def decode(path: Path, info: SoundInfo, *, start: int, count: int) -> np.ndarray:
    """Samples `start` to `start + count` as (n,) float32, mixed down; fewer where it ends early."""
    decoder = _open(path)
    # A negative beginning is the encoder's lead-in, which is decoded but not given out.
    begin_s = max(decoder.metadata.begin_stream_seconds or 0.0, 0.0)
    # More than is wanted on both sides, since it may leave out an incomplete first or last packet;
    # a quarter of a sample early, so that rounding of the time cannot skip a sample.
    margin = round(_MARGIN_S * info.rate_hz)
    start_s = begin_s + max(start - margin - 0.25, 0.0) / info.rate_hz
    stop_s = begin_s + (start + count + margin) / info.rate_hz
    try:
        samples = decoder.get_samples_played_in_range(start_s, stop_s)
    except (RuntimeError, ValueError, IndexError) as error:
        raise DataError(
            f"{path}: torchcodec cannot decode {start_s:.2f} s to {stop_s:.2f} s ({error}); "
            "the file is damaged or cut off; replace it, or try backend='pyav'"
        ) from error
    first = round((samples.pts_seconds - begin_s) * info.rate_hz)
    mono = samples.data.mean(dim=0).numpy()
    return mono[max(start - first, 0) : max(start + count - first, 0)]


def _open(path: Path) -> "AudioDecoder":
    from torchcodec.decoders import AudioDecoder  # pyright: ignore[reportPrivateImportUsage] # as above

    try:
        return AudioDecoder(str(path))
    except (RuntimeError, ValueError) as error:
        if any(said in str(error) for said in _SAID_WITHOUT_SOUND):
            raise DataError(
                f"{path}: has no sound track; expected sound or a video with sound; leave it out"
            ) from error
        raise DataError(
            f"{path}: torchcodec cannot open it ({error}); expected a sound or video file; "
            "replace it, or try backend='pyav'"
        ) from error
