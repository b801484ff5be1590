"""Decoding by torchcodec, which needs the shared libraries of an FFmpeg on the system."""

import importlib.metadata
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from modalities.video.readers.clock import check_times
from modalities.video.readers.frame_index import FrameIndex
from omnimask.foundation.errors import DataError


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


def decode(
    path: Path, index: FrameIndex, ids: Int64[np.ndarray, " k"]
) -> UInt8[np.ndarray, "k h w 3"]:
    """Frames `ids` (ascending, each once) as RGB, turned upright."""
    # The documented place of this class; torchcodec has no `__all__` that says so.
    from torchcodec.decoders import VideoDecoder  # pyright: ignore[reportPrivateImportUsage]

    try:
        decoder = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1)
        batch = decoder.get_frames_at(ids.tolist())
    except (RuntimeError, ValueError, IndexError) as error:
        raise DataError(
            f"{path}: torchcodec cannot decode it ({str(error).strip().splitlines()[0]}); "
            "expected a whole video; replace it"
        ) from error
    check_times(path, index, ids, batch.pts_seconds.numpy(), by="torchcodec")
    return batch.data.numpy()
