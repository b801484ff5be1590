"""Small maps of class ids in every form that is read, made here, and bad ones to be refused."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from modalities.image import LabelFiles, LabelPatches
from tests.modalities.case import Case
from tests.modalities.case_image import bomb, encoded, scene, write

NUM_CLASSES, UNKNOWN = 7, 255


def blocks(height: int, width: int, *, seed: int = 0, num_classes: int = NUM_CLASSES) -> np.ndarray:
    """(h, w) uint8: a few large regions of one class each, and a strip of unknown pixels."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, num_classes, (3, 4)).astype(np.uint8)
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 4 // width
    classes = ids[rows[:, None], columns]
    classes[:, width // 2 : width // 2 + 3] = UNKNOWN
    return classes


def png(classes: np.ndarray, *, palette: bool = False) -> bytes:
    """With a palette, the ids are the same and the colours are not in their order."""
    image = Image.fromarray(classes)
    if palette:
        image = image.convert("P")
        image.putdata(classes.flatten().tolist())
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tolist())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def write_tiff(path: Path, classes: np.ndarray) -> Path:
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, classes, photometric="minisblack")
    return path


def make_case(root: Path) -> Case:
    write(root / "day" / "a.png", png(blocks(70, 100, seed=1)))
    write(root / "day" / "b.PNG", png(blocks(64, 48, seed=2), palette=True))
    write_tiff(root / "day" / "c.tif", blocks(90, 60, seed=3))
    write_tiff(root / "night" / "d map.tiff", blocks(40, 40, seed=4).astype(np.uint16))
    write(root / "night" / "e.png", png(blocks(30, 200, seed=5).astype(np.uint16)))
    write(root / "night" / "f.png", png(np.full((50, 50), UNKNOWN, dtype=np.uint8)))
    return Case(
        modality=LabelPatches(
            size=(32, 48), patch=(8, 16), num_classes=NUM_CLASSES, unknown=UNKNOWN
        ),
        files=LabelFiles(),
        root=root,
        round_trip_tolerance={"classes": 0.0},
        without_hooks=("IMPUTERS",),
        bad_files={
            "empty": lambda root: write(root / "bad.png", b""),
            "text": lambda root: write(root / "bad.png", b"This is not a map.\n" * 50),
            "truncated PNG": lambda root: _half(root / "bad.png", png(scene(80, 80)[..., 0])),
            "truncated TIFF": _half_tiff,
            "bomb": lambda root: write(root / "sub" / "bad.png", bomb(60_000, 60_000)),
            "colours": lambda root: write(root / "bad.png", encoded(scene(40, 40), "PNG")),
            "JPEG": lambda root: write(
                root / "bad.png", encoded(blocks(40, 40)[..., None], "JPEG")
            ),
            "unknown class": lambda root: write(
                root / "bad.png", png(np.full((40, 40), NUM_CLASSES, dtype=np.uint8))
            ),
        },
    )


def _half(path: Path, data: bytes) -> Path:
    return write(path, data[: len(data) // 2])


def _half_tiff(root: Path) -> Path:
    path = write_tiff(root / "bad.tif", blocks(80, 80))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path
