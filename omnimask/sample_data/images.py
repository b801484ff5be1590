"""Images: handwritten digits from scikit-learn and crops of photographs, in five formats."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from PIL import Image

from omnimask.sample_data.files import FileJob, labelled_jobs
from omnimask.sample_data.photos import PHOTOS, photo_region, read_photo

NUM_DIGITS_TRAIN = 100
NUM_DIGITS_HELD_OUT = 30
DIGIT_SIDE = 32

# Ten turns: mostly JPEG, and one each of what else an image reader has to cope with.
_PHOTO_SUFFIXES = (".jpg", ".jpg", ".jpg", ".webp", ".jpg", ".jpg", ".png", ".jpg", ".tif", ".jpg")
# (height, width) in pixels; square mostly.
_PHOTO_SIZES = ((96, 96), (96, 96), (96, 96), (96, 96), (96, 128), (128, 96), (80, 120))
# A crop's longer side is at most this share of the photograph's shorter side, at least 0.4 of that.
_LONGEST_SIDE_SHARE = 0.4
# Sky and shadow say little about a photograph: crops with less contrast are drawn again.
_PLAIN_STD = 0.05
_MAX_TRIES = 6


ABOUT = """
Real. `digit-*`: the 8 × 8 handwritten digits of scikit-learn (`load_digits`, a copy of the test
set of UCI's "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak), enlarged
to 32 × 32, greyscale PNG. `photo-*`: crops of the photographs listed below, mostly 96 × 96 JPEG
(greyscale where the photograph is), some WebP, 16-bit TIFF and PNG with an alpha channel.
Held-out crops come from the quarter at one edge of a photograph, train crops from the rest, so
no pixel is in both."""


def jobs(scale: float) -> list[FileJob]:
    digits = labelled_jobs(
        "images",
        [f"digit-{digit}" for digit in range(10)],
        num_train=NUM_DIGITS_TRAIN,
        num_held_out=NUM_DIGITS_HELD_OUT,
        suffixes=[".png"],
        scale=scale,
    )
    photos = labelled_jobs(
        "images",
        [f"photo-{name}" for name in PHOTOS],
        num_train=60,
        num_held_out=20,
        suffixes=_PHOTO_SUFFIXES,
        scale=scale,
    )
    return digits + photos


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    kind, _, name = job.label.partition("-")
    if kind == "digit":
        _write_digit(root / job.path, digit=int(name), job=job)
    else:
        _write_photo(root / job.path, _photo_crop(name, job.split, rng), rng)


@lru_cache(maxsize=1)
def _digits() -> tuple[UInt8[np.ndarray, "count 8 8"], np.ndarray]:
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    # The package lists the digits writer by writer; one fixed shuffle mixes them, once for all
    # seeds, so that train and held-out digits never change places.
    order = np.random.default_rng(0).permutation(len(bunch.target))
    return np.round(bunch.images[order] * (255 / 16)).astype(np.uint8), bunch.target[order]


def _write_digit(path: Path, *, digit: int, job: FileJob) -> None:
    pixels, labels = _digits()
    offset = 0 if job.split == "train" else NUM_DIGITS_TRAIN
    chosen = np.flatnonzero(labels == digit)[offset + job.index]
    size = (DIGIT_SIDE, DIGIT_SIDE)
    Image.fromarray(pixels[chosen]).resize(size, Image.Resampling.BICUBIC).save(path)


@lru_cache(maxsize=2)
def _planes(name: str, split: str) -> list[Image.Image]:
    """The colours of one photograph's region as fp32 pictures.

    Resampled in fp32, the 16-bit files hold more than 256 levels.
    """
    region = photo_region(name, split).astype(np.float32)
    return [Image.fromarray(region[:, :, channel]) for channel in range(region.shape[2])]


def _photo_crop(
    name: str, split: str, rng: np.random.Generator
) -> Float32[np.ndarray, "height width channels"]:
    """A random crop at a random scale, in [0, 1]; the first of a few that is not a plain area."""
    planes = _planes(name, split)
    height, width = _PHOTO_SIZES[rng.integers(len(_PHOTO_SIZES))]
    longest_side = _LONGEST_SIDE_SHARE * min(read_photo(name).shape[:2])
    pixels = np.zeros((height, width, len(planes)), dtype=np.float32)
    for _ in range(_MAX_TRIES):
        # Output pixels per photograph pixel decide the crop; it must fit the region.
        scale = longest_side * np.exp(rng.uniform(np.log(0.4), 0)) / max(height, width)
        scale = min(scale, planes[0].height / height, planes[0].width / width)
        left = rng.uniform(0, planes[0].width - scale * width)
        top = rng.uniform(0, planes[0].height - scale * height)
        box = (left, top, left + scale * width, top + scale * height)
        resized = [
            np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC, box=box))
            for plane in planes
        ]
        pixels = (np.stack(resized, axis=-1) / 255).clip(0, 1).astype(np.float32)
        if pixels.std(axis=(0, 1)).max() > _PLAIN_STD:
            break
    return pixels


def _write_photo(
    path: Path, pixels: Float32[np.ndarray, "height width channels"], rng: np.random.Generator
) -> None:
    if path.suffix == ".tif":
        _write_tiff16(path, np.round(pixels * 65535).astype(np.uint16))
        return
    eight_bit = np.round(pixels * 255).astype(np.uint8)
    if path.suffix == ".png":
        Image.fromarray(_with_alpha(eight_bit, rng)).save(path)
        return
    quality = 90 if path.suffix == ".jpg" else 85
    Image.fromarray(eight_bit.squeeze(-1) if pixels.shape[2] == 1 else eight_bit).save(
        path, quality=quality
    )


def _write_tiff16(path: Path, pixels: UInt16[np.ndarray, "height width channels"]) -> None:
    import tifffile

    grey = pixels.shape[2] == 1
    tifffile.imwrite(
        path,
        pixels.squeeze(-1) if grey else pixels,
        photometric="minisblack" if grey else "rgb",
        compression="zlib",
        # Without this the file carries the moment of writing.
        metadata=None,
    )


def _with_alpha(
    pixels: UInt8[np.ndarray, "height width channels"], rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 4"]:
    """RGBA with a soft elliptical cut-out, as of an object that was masked out."""
    height, width, channels = pixels.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    radius = np.hypot((x - rng.uniform(-0.2, 0.2)) / 1.1, (y - rng.uniform(-0.2, 0.2)) / 1.1)
    alpha = np.round(255 * np.clip((1.1 - radius) / 0.15, 0, 1)).astype(np.uint8)
    colours = np.repeat(pixels, 3, axis=2) if channels == 1 else pixels
    return np.concatenate([colours, alpha[:, :, None]], axis=2)
