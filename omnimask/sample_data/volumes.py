"""Volumes: made-up CT scans of a trunk with one finding, whose shape is the label."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Bool, Float64, UInt8

from omnimask.sample_data.files import FileJob, labelled_jobs

_SUFFIXES = (".nii.gz", ".nii.gz", ".npz", ".nii.gz")
SPACING_MM = (3.0, 3.0, 3.0)
CLASSES = ("air", "tissue", "lung", "bone", "finding")
_HU = (-1000.0, 40.0, -750.0, 600.0, 190.0)  # Hounsfield units of the classes
_NOISE_HU, _STEP_HU = 12.0, 8.0  # coarse steps, so that files stay small


ABOUT = """
Made. CT scans of a trunk: two lungs, a spine, and one bright finding, the shape of which (ball,
tube, shell, box, pair) is the label. Hounsfield units in 16 bits, voxels of 3 mm: NIfTI, and NPZ
with the arrays `volume` (depth, height, width) and `spacing_mm`."""

Places = Float64[np.ndarray, "xyz d h w"]  # millimetres from the middle of a shape, x y z


def jobs(scale: float) -> list[FileJob]:
    return labelled_jobs(
        "volumes", tuple(SHAPES), num_train=12, num_held_out=6, suffixes=_SUFFIXES, scale=scale
    )


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    """NIfTI lies in the file as a scanner has it, from the patient's right to the left."""
    voxels = made(job.label, rng).intensities(rng)
    path = root / job.path
    if job.suffix == ".npz":
        np.savez_compressed(path, volume=voxels, spacing_mm=np.array(SPACING_MM))
        return
    affine = np.diag([-SPACING_MM[2], SPACING_MM[1], SPACING_MM[0], 1.0])
    nibabel.save(nibabel.Nifti1Image(voxels.transpose(2, 1, 0)[::-1], affine), path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trunk:
    """The class of every voxel, (depth, height, width): up, to the front, to the right hand."""

    classes: UInt8[np.ndarray, "d h w"]

    def intensities(self, rng: np.random.Generator) -> np.ndarray:
        """In Hounsfield units, int16."""
        clean = np.array(_HU)[self.classes]
        noisy = clean + rng.normal(0, _NOISE_HU, self.classes.shape)
        return (np.round(noisy / _STEP_HU) * _STEP_HU).astype(np.int16)


def made(label: str, rng: np.random.Generator) -> Trunk:
    """With a finding of that shape, somewhere in the tissue in front of the spine."""
    shape = (int(rng.integers(34, 40)), int(rng.integers(40, 46)), int(rng.integers(44, 50)))
    z, y, x = np.meshgrid(*(_axis(n, mm) for n, mm in zip(shape, SPACING_MM)), indexing="ij")
    wide, deep = rng.uniform(54, 62), rng.uniform(46, 54)
    classes = np.zeros(shape, dtype=np.uint8)
    classes[(x / wide) ** 2 + (y / deep) ** 2 < 1] = CLASSES.index("tissue")
    for side in (-1, 1):
        lung = _ellipsoid(x - side * rng.uniform(26, 30), y - 6, z - 14, (15, 24, 30))
        classes[lung] = CLASSES.index("lung")
    spine = (x / 8) ** 2 + ((y + 30) / 9) ** 2 < 1
    classes[spine & (np.mod(z + rng.uniform(0, 20), 20) > 4)] = CLASSES.index("bone")
    middle = (rng.uniform(-18, 18), rng.uniform(0, 16), rng.uniform(-26, -6))
    turned = _turned(np.stack([x, y, z]), middle, rng)
    classes[SHAPES[label](turned, rng.uniform(0.85, 1.15))] = CLASSES.index("finding")
    return Trunk(classes=classes)


def _axis(count: int, mm: float) -> np.ndarray:
    return (np.arange(count) - (count - 1) / 2) * mm


def _turned(places: Places, middle: tuple[float, ...], rng: np.random.Generator) -> Places:
    """Around the vertical and then around the axis from left to right, by chance."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("zx", rng.uniform(-np.pi, np.pi, 2)).as_matrix()
    return np.einsum("ij,jdhw->idhw", turn, places - np.array(middle)[:, None, None, None])


def _ellipsoid(x: np.ndarray, y: np.ndarray, z: np.ndarray, radii: tuple[float, ...]) -> np.ndarray:
    return (x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2 < 1


def _radius(places: Places, *, x: float = 0.0) -> np.ndarray:
    return np.sqrt((places[0] - x) ** 2 + places[1] ** 2 + places[2] ** 2)


Shape = Callable[[Places, float], Bool[np.ndarray, "d h w"]]  # and a factor of its size

SHAPES: dict[str, Shape] = {
    "ball": lambda p, s: _radius(p) < 13 * s,
    "tube": lambda p, s: (np.hypot(p[1], p[2]) < 5 * s) & (abs(p[0]) < 30 * s),
    "shell": lambda p, s: (_radius(p) < 17 * s) & (_radius(p) > 11 * s),
    "box": lambda p, s: (abs(p[0]) < 17 * s) & (abs(p[1]) < 17 * s) & (abs(p[2]) < 5 * s),
    "pair": lambda p, s: (_radius(p, x=-17 * s) < 9 * s) | (_radius(p, x=17 * s) < 9 * s),
}
