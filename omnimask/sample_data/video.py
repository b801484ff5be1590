"""Video clips with sound: a textured object moves over a textured background, and is heard.

One rule joins picture and sound in every clip: the stereo balance follows the object's horizontal
place, the pitch its height in the frame, the loudness its size, and the timbre its shape. So either
half of a clip tells of the other, and the motion can be told from the sound alone.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

from omnimask.sample_data.files import FileJob, labelled_jobs
from omnimask.sample_data.mp4 import write_mp4
from omnimask.sample_data.photos import PHOTOS, photo_region

MOTIONS = (
    "left",
    "right",
    "up",
    "down",
    "clockwise",
    "counter-clockwise",
    "zoom-in",
    "zoom-out",
)
SAMPLE_RATE_HZ = 16000
_TEXTURE_SIDE = 128
_SHAPES = ("disc", "square", "triangle", "ring")
# How the overtones of the four timbres fall off; all four have the same pitch.
_OVERTONES = {
    "disc": (1.0,),
    "square": (1.0, 0.0, 0.5, 0.0, 0.35, 0.0, 0.25),
    "triangle": (1.0, 0.6, 0.4, 0.3, 0.2, 0.15),
    "ring": (0.4, 1.0, 0.1, 0.6),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Path2D:
    """The object at each frame: centre and radius in units of half the frame, y downwards."""

    x: Float64[np.ndarray, " frames"]
    y: Float64[np.ndarray, " frames"]
    radius: Float64[np.ndarray, " frames"]
    turn_rad: Float64[np.ndarray, " frames"]


ABOUT = """
Made. H.264 with an AAC stereo track, 96 × 96 or 128 × 72, mostly 2 s at 12 or 15 frames per
second. A textured object moves over a drifting textured background (textures: crops of the
photographs below, from the region of the split); the label is its motion. The sound belongs to
the picture: stereo balance = place from left to right, pitch = height in the frame, loudness =
size, timbre = shape."""


def jobs(scale: float) -> list[FileJob]:
    return labelled_jobs(
        "video", MOTIONS, num_train=16, num_held_out=6, suffixes=[".mp4"], scale=scale
    )


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    # Most clips are 2 s at 12 frames per second; every fourth is something else.
    odd = job.index % 4 == 3
    rate_hz = int(rng.choice([10, 24, 30])) if odd else int(rng.choice([12, 15]))
    duration_s = float(rng.choice([1.2, 1.6, 2.4])) if odd else 2.0
    height, width = (72, 128) if job.index % 8 == 7 else (96, 96)
    num_frames = round(rate_hz * duration_s)
    motion = _motion(job.label, num_frames, rng)
    shape = _SHAPES[rng.integers(len(_SHAPES))]
    frames = _render(job, motion, shape, height, width, rng)
    sound = _sound(motion, shape, rate_hz, rng)
    with (root / job.path).open("wb") as file:
        write_mp4(
            file,
            frames,
            sound,
            frames_hz=rate_hz,
            samples_hz=SAMPLE_RATE_HZ,
            crf=21,
            bits_per_s=48_000,
        )


def _motion(label: str, num_frames: int, rng: np.random.Generator) -> Path2D:
    """The class decides the direction; speed, start, size and wobble are random."""
    time = np.linspace(-0.5, 0.5, num_frames)
    radius = rng.uniform(0.28, 0.45)
    reach = rng.uniform(0.6, 1.3)
    x = rng.uniform(-0.4, 0.4) + 0.05 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time)
    y = rng.uniform(-0.4, 0.4) + 0.05 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time)
    radii = np.full(num_frames, radius)
    turn = rng.uniform(0, 2 * np.pi) + rng.uniform(-0.4, 0.4) * time
    if label in ("left", "right"):
        x = rng.uniform(-0.2, 0.2) + reach * time * (1 if label == "right" else -1)
    elif label in ("up", "down"):
        y = rng.uniform(-0.2, 0.2) + reach * time * (1 if label == "down" else -1)
    elif label in ("clockwise", "counter-clockwise"):
        sign = 1 if label == "clockwise" else -1  # y points down: growing angles are clockwise
        angle = rng.uniform(0, 2 * np.pi) + sign * 2 * np.pi * rng.uniform(0.6, 1.2) * time
        orbit = rng.uniform(0.3, 0.55)
        x, y = orbit * np.cos(angle), orbit * np.sin(angle)
        turn = angle
    else:
        sign = 1 if label == "zoom-in" else -1
        radii = radius * np.exp(sign * rng.uniform(1.0, 1.6) * time)
    ones = np.ones(num_frames)
    return Path2D(x=x * ones, y=y * ones, radius=radii, turn_rad=turn * ones)


def _texture(split: str, rng: np.random.Generator) -> Image.Image:
    """A crop of a photograph from the region of the split, 128 × 128, mirrored to 384 × 384."""
    names = tuple(PHOTOS)
    region = photo_region(names[rng.integers(len(names))], split)
    side = rng.uniform(60, min(*region.shape[:2], 200))
    top = rng.uniform(0, region.shape[0] - side)
    left = rng.uniform(0, region.shape[1] - side)
    colour = region if region.shape[2] == 3 else np.repeat(region, 3, axis=2)
    box = (left, top, left + side, top + side)
    crop = Image.fromarray(colour).resize(
        (_TEXTURE_SIDE, _TEXTURE_SIDE), Image.Resampling.BICUBIC, box=box
    )
    tinted = np.round(np.asarray(crop) * rng.uniform(0.7, 1.0, size=3)).astype(np.uint8)
    margin = (_TEXTURE_SIDE, _TEXTURE_SIDE)
    return Image.fromarray(np.pad(tinted, (margin, margin, (0, 0)), mode="symmetric"))


def _sample(
    texture: Image.Image,
    height: int,
    width: int,
    *,
    center: tuple[float, float],
    radius: float,
    turn_rad: float = 0.0,
) -> Float32[np.ndarray, "height width 3"]:
    """A frame in [0, 1] in which the texture's middle tile covers a square of the given radius.

    `center` (x, y) and `radius` are in pixels of the frame.
    """
    step = _TEXTURE_SIDE / (2 * radius)
    cosine, sine = step * np.cos(turn_rad), step * np.sin(turn_rad)
    middle, (x, y) = 1.5 * _TEXTURE_SIDE, center
    matrix = (
        *(cosine, sine, middle - cosine * x - sine * y),
        *(-sine, cosine, middle + sine * x - cosine * y),
    )
    frame = texture.transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(frame, dtype=np.float32) / 255


def _distance(
    shape: str, u: Float32[np.ndarray, "height width"], v: Float32[np.ndarray, "height width"]
) -> Float32[np.ndarray, "height width"]:
    """Signed distance to the outline of a shape of radius one, negative inside."""
    if shape == "disc":
        return np.hypot(u, v) - 1
    if shape == "ring":
        return np.abs(np.hypot(u, v) - 0.72) - 0.28
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) - 0.85
    return np.maximum(v, np.abs(u) * (3**0.5 / 2) - v / 2) - 0.6


def _render(
    job: FileJob, motion: Path2D, shape: str, height: int, width: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "frames height width 3"]:
    background, skin = _texture(job.split, rng), _texture(job.split, rng)
    # The background drifts a little as well, so that a difference of frames is not the object.
    drift = rng.uniform(-0.2, 0.2, size=2) * height / 2
    middle = np.array([width, height]) / 2
    y, x = np.mgrid[0.5:height, 0.5:width].astype(np.float32)
    frames = []
    for step in range(len(motion.x)):
        place = middle + step / len(motion.x) * drift
        scene = _sample(background, height, width, center=tuple(place), radius=0.7 * width)
        center = middle * (1 + motion.x[step], 1 + motion.y[step])
        radius, turn = motion.radius[step] * height / 2, motion.turn_rad[step]
        surface = _sample(skin, height, width, center=tuple(center), radius=radius, turn_rad=turn)
        dx, dy = x - np.float32(center[0]), y - np.float32(center[1])
        cosine, sine = np.float32(np.cos(turn) / radius), np.float32(np.sin(turn) / radius)
        distance = _distance(shape, cosine * dx + sine * dy, cosine * dy - sine * dx) * radius
        inside = np.clip(0.5 - distance, 0, 1)[..., None].astype(np.float32)  # one soft pixel
        frames.append(scene * (1 - inside) + (0.25 + 0.75 * surface) * inside)
    grain = rng.normal(0, 0.01, size=(height, width, 1)).astype(np.float32)
    return np.round(255 * (np.stack(frames) + grain).clip(0, 1)).astype(np.uint8)


def _sound(
    motion: Path2D, shape: str, rate_hz: int, rng: np.random.Generator
) -> Float32[np.ndarray, "2 samples"]:
    """The tone of the moving object, left and right, in [-1, 1], as long as the picture."""
    num_samples = len(motion.x) * SAMPLE_RATE_HZ // rate_hz
    at = np.arange(num_samples) / SAMPLE_RATE_HZ
    frame_times = np.arange(len(motion.x)) / rate_hz
    x, y, radius = (np.interp(at, frame_times, v) for v in (motion.x, motion.y, motion.radius))
    pitch_hz = rng.uniform(250, 400) * 2.0 ** (-1.2 * y)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    tone = sum(
        share * np.sin(order * phase) for order, share in enumerate(_OVERTONES[shape], start=1)
    )
    loudness = 0.25 * (radius / 0.4) ** 1.5
    balance = np.clip((x + 1) / 2, 0.02, 0.98)
    both = np.stack([np.sqrt(1 - balance), np.sqrt(balance)]) * tone * loudness
    hiss = rng.normal(0, rng.uniform(0.003, 0.015), size=both.shape)
    return (both + hiss).clip(-1, 1).astype(np.float32)
