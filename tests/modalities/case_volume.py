"""Small made-up scans in every format that is read, and bad ones to be refused."""

from pathlib import Path

import nibabel
import numpy as np

from modalities.volume import VolumeFiles, VolumePatches
from tests.modalities.case import Case

SPACING = (2.0, 1.5, 1.0)  # millimetres along depth, height, width


def scan(seed: int, shape: tuple[int, int, int] = (10, 16, 20)) -> np.ndarray:
    """(depth, height, width): a bright ball in fog, each place of its own brightness."""
    generator = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    ball = (places**2).sum(axis=0) < 0.4
    ramp = 80 * places[0] + 40 * places[1] + 20 * places[2]
    return (-100 + ramp + 300 * ball + generator.normal(0, 5, shape)).astype(np.float32)


def nifti(path: Path, voxels: np.ndarray, *, codes: str = "RAS") -> Path:
    """`voxels` (depth, height, width) stored along the axes that `codes` name, with the affine
    that says so."""
    canonical = nibabel.Nifti1Image(voxels.transpose(2, 1, 0), np.diag([*reversed(SPACING), 1.0]))
    own = nibabel.orientations.io_orientation(canonical.affine)
    wanted = nibabel.orientations.axcodes2ornt(tuple(codes))
    image = canonical.as_reoriented(nibabel.orientations.ornt_transform(own, wanted))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def _npy(path: Path, voxels: np.ndarray) -> Path:
    np.save(path, voxels)
    return path


def _cut(path: Path, share: float = 0.6) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def _npz_of_two(path: Path) -> Path:
    np.savez(path, first=scan(0), second=scan(1))
    return path


def make_case(root: Path) -> Case:
    nifti(root / "ct" / "a.nii.gz", scan(0))
    nifti(root / "ct" / "b.nii", scan(1).round().astype(np.int16), codes="LPI")
    nifti(root / "ct" / "C.NII.GZ", scan(2), codes="PSL")
    (root / "mr").mkdir()
    _npy(root / "mr" / "d.npy", scan(3))
    np.savez_compressed(root / "mr" / "e.npz", volume=scan(4)[None], spacing_mm=np.array(SPACING))
    nifti(root / "mr" / "f small.nii.gz", scan(5, (5, 16, 9)))
    return Case(
        modality=VolumePatches(
            size=(8, 12, 16), patch=(4, 4, 4), window=(-200.0, 300.0), spacing_mm=(2.0, 1.5, 1.0)
        ),
        files=VolumeFiles(spacing_mm=SPACING, flip=(0.0, 0.0, 0.5), zoom=(0.9, 1.1)),
        root=root,
        round_trip_tolerance={"voxels": 1e-5},
        imputed_suffix=".nii.gz",
        bad_files={
            "empty nii": lambda folder: _written(folder / "empty.nii", b""),
            "text named nii.gz": lambda folder: _written(folder / "letter.nii.gz", b"Dear reader"),
            "truncated nii": lambda folder: _cut(nifti(folder / "half.nii", scan(0))),
            "truncated nii.gz": lambda folder: _cut(nifti(folder / "half.nii.gz", scan(0))),
            "one slice": lambda folder: _flat(folder / "slice.nii"),
            "colours": lambda folder: _npy(folder / "five.npy", np.zeros((5, 4, 4, 4))),
            "words": lambda folder: _npy(folder / "words.npy", np.full((3, 3, 3), "bone")),
            "truncated npy": lambda folder: _cut(_npy(folder / "half.npy", scan(0))),
            "truncated npz": lambda folder: _cut(_npz_of_two(folder / "half.npz")),
            "two arrays": lambda folder: _npz_of_two(folder / "two.npz"),
        },
    )


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _flat(path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4), np.float32), np.eye(4)), path)
    return path
