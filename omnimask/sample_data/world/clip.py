"""The clip of a scene: its subject moves, and its sound is that of the clip."""

import io

import numpy as np
from jaxtyping import Float32, UInt8

from omnimask.sample_data.mp4 import write_mp4
from omnimask.sample_data.world.motion import FRAME_RATE_HZ, frame_times_s, moves
from omnimask.sample_data.world.render import camera_of, frames, rays_of
from omnimask.sample_data.world.sound import RATE_HZ
from omnimask.sample_data.world.stage import Pose, Stage

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
    """The clip and its sound as the contents of a file."""
    data = io.BytesIO()
    write_mp4(
        data,
        pixels,
        sound[None],
        frames_hz=FRAME_RATE_HZ,
        samples_hz=RATE_HZ,
        crf=20,
        bits_per_s=40_000,
    )
    return data.getvalue()
