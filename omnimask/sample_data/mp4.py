"""Clips with their sound as MP4."""

from fractions import Fraction
from typing import BinaryIO

import numpy as np
from jaxtyping import Float32, UInt8


def write_mp4(
    file: BinaryIO,
    frames: UInt8[np.ndarray, "frames height width 3"],
    sound: Float32[np.ndarray, "channels samples"],
    *,
    frames_hz: int,
    samples_hz: int,
    crf: int,
    bits_per_s: int,
) -> None:
    """H.264 at the quality `crf`, and AAC of one or two channels at `bits_per_s`.

    One thread per encoder, as more would change the bytes.
    """
    import av

    layout = {1: "mono", 2: "stereo"}[len(sound)]
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        picture = container.add_stream("libx264", rate=frames_hz)
        picture.height, picture.width = frames.shape[1:3]
        picture.pix_fmt = "yuv420p"
        picture.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        picture.time_base = Fraction(1, frames_hz)
        track = container.add_stream("aac", rate=samples_hz, layout=layout)
        track.bit_rate = bits_per_s
        track.options = {"aac_coder": "fast"}  # the default search takes longer than the picture
        for pixels in frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(picture.encode())
        tone = av.AudioFrame.from_ndarray(sound, format="fltp", layout=layout)
        tone.sample_rate = samples_hz
        container.mux(track.encode(tone))
        container.mux(track.encode())
