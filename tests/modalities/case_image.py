"""Small images of every format and type that is read, made here, and bad ones to be refused."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from modalities.image import ImageFiles, ImagePatches
from tests.modalities.case import Case


def scene(height: int, width: int, *, channels: int = 3, seed: int = 0) -> np.ndarray:
    """(h, w, channels) uint8: smooth waves and a bright square at the top left."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j][..., None]
    turns = rng.uniform(1, 3, (2, channels))
    waves = np.sin(2 * np.pi * (turns[0] * y + turns[1] * x + rng.uniform(size=channels)))
    pixels = 110 + 80 * waves
    pixels[: height // 4, : width // 4] = 250
    return np.round(pixels + rng.normal(0, 3, pixels.shape)).clip(0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str, *, orientation: int = 1) -> bytes:
    """By Pillow; `pixels` (h, w), or (h, w, c) with one, three or four channels."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[2:] == (1,) else pixels)
    image.save(file, kind, **({} if orientation == 1 else {"exif": exif}))
    return file.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_tiff(path: Path, pixels: np.ndarray, photometric: str = "minisblack") -> Path:
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    planar = "contig" if pixels.ndim == 3 else None
    tifffile.imwrite(path, pixels, photometric=photometric, planarconfig=planar, compression="zlib")
    return path


def make_case(root: Path) -> Case:
    write(root / "day" / "a.jpg", encoded(scene(70, 100, seed=1), "JPEG"))
    write(root / "day" / "b.PNG", encoded(scene(64, 48, channels=4, seed=2), "PNG"))
    write(root / "day" / "c.webp", encoded(scene(90, 60, seed=3), "WEBP"))
    write(root / "night" / "d grey.jpeg", encoded(scene(40, 40, channels=1, seed=4), "JPEG"))
    wide = scene(50, 80, seed=5).astype(np.uint16) * 257
    write_tiff(root / "night" / "e.tif", wide, "rgb")
    write(root / "night" / "f.jpg", encoded(scene(30, 200, seed=6), "JPEG", orientation=6))
    return Case(
        modality=ImagePatches(size=(32, 48), patch=(8, 16)),
        files=ImageFiles(),
        root=root,
        round_trip_tolerance={"pixels": 1e-5},
        imputed_suffix=".png",
        bad_files={
            "empty": lambda root: write(root / "bad.jpg", b""),
            "text": lambda root: write(root / "bad.jpg", b"This is not an image.\n" * 50),
            "truncated JPEG": lambda root: _half(root / "bad.jpg", "JPEG"),
            "truncated PNG": lambda root: _half(root / "bad.png", "PNG"),
            "truncated WebP": lambda root: _half(root / "bad.webp", "WEBP"),
            "truncated TIFF": _half_tiff,
            "only a JPEG header": lambda root: write(
                root / "bad.jpg", encoded(scene(40, 40), "JPEG")[:30]
            ),
            "bomb": lambda root: write(root / "sub" / "bad.png", bomb(60_000, 60_000)),
            "four bands": lambda root: write_tiff(root / "bad.tif", scene(40, 40, channels=4)),
            "stack": lambda root: write_tiff(
                root / "bad.tif", np.stack([scene(40, 40), scene(40, 40)]), "rgb"
            ),
            "NaN": lambda root: write_tiff(
                root / "bad.tiff", np.full((40, 40), np.nan, dtype=np.float32)
            ),
        },
    )


def bomb(height: int, width: int) -> bytes:
    """A PNG of one grey that is small as a file and huge as pixels (its rows are cut short)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000 * (width + 1)))
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _half(path: Path, kind: str) -> Path:
    data = encoded(scene(80, 80, seed=9), kind)
    return write(path, data[: len(data) // 2])


def _half_tiff(root: Path) -> Path:
    path = write_tiff(root / "bad.tif", scene(80, 80, seed=9), "rgb")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path
