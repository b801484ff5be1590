"""Scans in files: what the header says, and the voxels of a box, nothing else being read."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from omnimask.data.folders import suffix_of
from omnimask.data.reading import named_errors
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs
from omnimask.foundation.versions import installed_version

NIFTI = (".nii", ".nii.gz")
SUFFIXES = (*NIFTI, ".npy", ".npz")

Cut = tuple[slice, slice, slice]  # of depth, height, width
Spacing = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """What a file says of itself. Axes are (depth, height, width): of a NIfTI from the feet to the
    head, from the back to the front and from the patient's left to the right hand, whatever the
    order in the file. `read` gives the voxels of a box, channels last.
    """

    path: Path
    shape: tuple[int, int, int]
    num_channels: int
    spacing_mm: Spacing | None
    affine: np.ndarray  # (4 4): from (width, height, depth) indices to millimetres
    read: Callable[[Cut], Shaped[np.ndarray, "d h w c"]]

    def cut(self, box: Cut, *, max_voxels: int) -> Shaped[np.ndarray, "d h w c"]:
        """DataError, naming the file, for a box that is too large, and for damaged voxels."""
        count = math.prod(part.stop - part.start for part in box) * self.num_channels
        if count > max_voxels:
            raise DataError(
                f"{self.path}: {count} voxels would be read for one crop, more than max_voxels "
                f"({max_voxels}); check its voxel size {self.spacing_mm} mm, or raise max_voxels"
            )
        with named_errors(str(self.path)):
            return np.asarray(self.read(box))


def open_scan(path: Path, *, array: str | None = None) -> Scan:
    """`array`: the name in an .npz file, None for its only one of three axes or more."""
    with named_errors(str(path)):
        if not path.is_file():
            raise DataError(f"{path}: there is no such file")
        suffix = suffix_of(path, SUFFIXES)
        if suffix in NIFTI:
            return _open_nifti(path)
        if suffix == ".npy":
            return _of_array(path, np.load(path, mmap_mode="r", allow_pickle=False), None)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _open_npz(path, {name: arrays[name] for name in arrays.files}, array)


def _open_nifti(path: Path) -> Scan:
    needs("nibabel", extra="volume", what=str(path))
    import nibabel
    from nibabel.orientations import io_orientation

    image: Any = nibabel.load(path)
    shape, dtype = image.shape, image.get_data_dtype()
    if len(shape) not in (3, 4) or min(shape) < 1 or dtype.names or dtype.kind not in "iuf":
        raise DataError(
            f"{path}: has the shape {tuple(shape)} of {dtype}; expected (x, y, z) or (x, y, z, "
            "channels) of numbers; convert it, or split a longer series into files"
        )
    turns = io_orientation(image.affine)
    if not np.isfinite(turns).all():  # an affine that drops an axis says nothing
        turns = np.stack([np.arange(3.0), np.ones(3)], axis=1)
    # Where (depth, height, width) = (z, y, x) lie in the file, and whether they run backwards.
    axes = [int(np.flatnonzero(turns[:, 0] == 2 - axis)[0]) for axis in range(3)]
    backwards = [bool(turns[axis, 1] < 0) for axis in axes]
    lengths = [int(shape[axis]) for axis in axes]

    def read(box: Cut) -> np.ndarray:
        cuts = [slice(None)] * len(shape)
        for axis, part, length, back in zip(axes, box, lengths, backwards, strict=True):
            cuts[axis] = slice(length - part.stop, length - part.start) if back else part
        voxels = np.asarray(image.dataobj[tuple(cuts)])
        voxels = voxels[..., None] if len(shape) == 3 else voxels
        voxels = voxels.transpose(*axes, 3)
        return voxels[tuple(slice(None, None, -1 if back else 1) for back in backwards)]

    spacing = [float(abs(image.header.get_zooms()[axis])) for axis in axes]
    affine = np.array(image.affine, dtype=np.float64)
    columns = affine[:, [*reversed(axes), 3]]
    for column, (back, length) in enumerate(zip(reversed(backwards), reversed(lengths))):
        if back:
            columns[:, 3] += columns[:, column] * (length - 1)
            columns[:, column] *= -1
    return Scan(
        path=path,
        shape=(lengths[0], lengths[1], lengths[2]),
        num_channels=1 if len(shape) == 3 else int(shape[3]),
        spacing_mm=_checked_spacing(path, spacing),
        affine=columns,
        read=read,
    )


def _open_npz(path: Path, arrays: Mapping[str, np.ndarray], array: str | None) -> Scan:
    names = [array] if array else [name for name, part in arrays.items() if part.ndim >= 3]
    if len(names) != 1 or names[0] not in arrays:
        raise DataError(
            f"{path}: holds the arrays {', '.join(arrays)}; expected "
            f"{array or 'one of three axes or four'}; name it in VolumeFiles.array"
        )
    spacing = arrays.get("spacing_mm")
    return _of_array(path, arrays[names[0]], None if spacing is None else spacing.tolist())


def _of_array(path: Path, voxels: np.ndarray, spacing: Any) -> Scan:
    """(d h w) or, channels first, (c d h w)."""
    if voxels.ndim not in (3, 4) or voxels.dtype.kind not in "iufb" or min(voxels.shape) < 1:
        raise DataError(
            f"{path}: has the shape {voxels.shape} of {voxels.dtype}; expected (depth, height, "
            "width) or (channels, depth, height, width) of numbers"
        )
    d, h, w = voxels.shape[-3:]
    checked = None if spacing is None else _checked_spacing(path, spacing)

    def read(box: Cut) -> np.ndarray:
        part = voxels[(..., *box)]
        return part[..., None] if part.ndim == 3 else np.moveaxis(part, 0, -1)

    return Scan(
        path=path,
        shape=(d, h, w),
        num_channels=1 if voxels.ndim == 3 else voxels.shape[0],
        spacing_mm=checked,
        affine=np.diag([*reversed(checked or (1.0, 1.0, 1.0)), 1.0]),
        read=read,
    )


def _checked_spacing(path: Path, spacing: Any) -> Spacing:
    if len(spacing) != 3 or not all(math.isfinite(mm) and mm > 0 for mm in spacing):
        raise DataError(
            f"{path}: its voxel size is {spacing} mm; expected three positive numbers; mend the "
            "header"
        )
    d, h, w = spacing
    return float(d), float(h), float(w)


def available_readers() -> dict[str, str]:
    """By format, what reads it here."""
    version = installed_version("nibabel")
    nifti = f"nibabel {version}" if version else "missing: nibabel (omnimask[volume])"
    return {name: nifti if name in NIFTI else f"numpy {np.__version__}" for name in SUFFIXES}
