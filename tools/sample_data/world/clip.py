"""The clip of a scene: its subject moves, and its sound is that of the clip."""

import io
from fractions import Fraction

import numpy as np
from jaxtyping import Float32, UInt8

from tools.sample_data.world.motion import FRAME_RATE_HZ, frame_times_s, moves
from tools.sample_data.world.render import camera_of, frames, rays_of
from tools.sample_data.world.sound import RATE_HZ
from tools.sample_data.world.stage import Pose, Stage

SIDE = 64


def poses_of(stage: Stage) -> list[Pose]:
    """Of the subject, in the middle of each frame."""
    motion = stage.scene.motion
    return stage.bodies[0].moved(moves(motion, frame_times_s()), motion.heading_rad)


def observe(stage: Stage) -> UInt8[np.ndarray, "frames h w 3"]:
    rays = rays_of(camera_of(stage.scene), SIDE)
    seen = frames(stage, rays, poses_of(stage))
    pixels = np.stack([frame.colour for frame in seen]).reshape(len(seen), SIDE, SIDE, 3)
    rng = stage.scene.generator("clip noise")
    # Fresh noise would cost the picture's coder more than the motion does.
    still = rng.normal(0, rng.uniform(0.003, 0.012), size=(SIDE, SIDE, 3)).astype(np.float32)
    return np.round(255 * (pixels + still).clip(0, 1)).astype(np.uint8)


def mp4(pixels: UInt8[np.ndarray, "frames h w 3"], sound: Float32[np.ndarray, " samples"]) -> bytes:
    """H.264 and AAC. One thread per encoder, as more would change the bytes."""
    import av

    data = io.BytesIO()
    with av.open(data, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        picture = container.add_stream("libx264", rate=FRAME_RATE_HZ)
        picture.height, picture.width = pixels.shape[1:3]
        picture.pix_fmt = "yuv420p"
        picture.options = {"crf": "20", "preset": "veryfast", "threads": "1"}
        picture.time_base = Fraction(1, FRAME_RATE_HZ)
        track = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        track.bit_rate = 40000
        track.options = {"aac_coder": "fast"}  # the default search takes longer than the picture
        for frame in pixels:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(picture.encode())
        tone = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        tone.sample_rate = RATE_HZ
        container.mux(track.encode(tone))
        container.mux(track.encode())
    return data.getvalue()
