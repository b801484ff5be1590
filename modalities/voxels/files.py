"""Lidar sweeps in a folder, augmented and turned into voxels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from modalities.voxels.modality import VoxelGrid
from modalities.voxels.voxelise import voxelise
from omnimask.data.file_list import FileList, LabelsFrom
from omnimask.data.folders import list_files
from omnimask.data.point_files import (
    PLACE,
    Table,
    finite_rows,
    read_bin,
    read_npy,
    read_npz,
    read_pcd,
    read_ply,
    read_text,
    stack,
)
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.rng import numpy_generator
from omnimask.tokens.modality import Sample, Visit

SUFFIXES = (".bin", ".pcd", ".ply", ".npy", ".npz", ".xyz")


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepFiles:
    """Files of points in metres around the sensor, x and y level, z up.

    `columns_bin` is the number of float32 columns of a .bin file: 4 for KITTI, 5 for nuScenes;
    `columns` names those of npy and xyz, and of the arrays `xyz` or `points` in npz. In training a
    sweep is rotated about the sensor's vertical by at most `rotate_deg` to either side, mirrored
    at x and at y by chance (`flip`), and scaled by one factor from `scale`.
    `nan`: what to do with points that are not finite.
    """

    path: str = "."
    labels: LabelsFrom = "folder"
    columns_bin: int = 4
    columns: tuple[str, ...] = PLACE
    rotate_deg: float = 45.0
    flip: bool = True
    scale: tuple[float, float] | None = (0.95, 1.05)
    nan: Literal["error", "drop"] = "error"

    def __post_init__(self) -> None:
        if self.columns_bin < 3:
            raise RecipeError(f"SweepFiles columns_bin must be at least 3, got {self.columns_bin}")
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise RecipeError(
                f"SweepFiles scale must be (low, high) with 0 < low <= high, got {self.scale}"
            )
        if not set(PLACE) <= set(self.columns):
            raise RecipeError(f"SweepFiles columns must have x, y and z, got {self.columns}")

    def open(self, root: str, modality: Any, /) -> "SweepSource":
        if not isinstance(modality, VoxelGrid):
            raise RecipeError(
                f"SweepFiles feeds VoxelGrid, got {type(modality).__name__}; use the Files record "
                "of that modality"
            )
        found = list_files(root, self.path, SUFFIXES, what="sweeps", labels=self.labels)
        return SweepSource(files=self, modality=modality, found=found)


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepSource:
    """The opened files. Samples are the arrays of `VoxelGrid`'s raw form, without the batch."""

    files: SweepFiles
    modality: VoxelGrid
    found: FileList

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | float | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        with self.found.local(index) as path:
            return self._sweep(path, visit)

    def _sweep(self, path: Path, visit: Visit) -> Sample:
        table = self.table(path)
        xyz = stack(table, PLACE)
        if visit.augment:
            xyz = (xyz @ self._augmentation(visit).T).astype(np.float32)
        intensity = np.zeros(len(xyz), dtype=np.float32)
        if self.modality.with_intensity:
            intensity = table["intensity"]
        # The held-out view is drawn as well, but the same on every visit.
        generator = visit.generator("voxels") if visit.augment else numpy_generator(0, "voxels")
        voxels = voxelise(xyz, intensity, self.modality, generator)
        if voxels is None:
            low, high = xyz.min(axis=0).round(2).tolist(), xyz.max(axis=0).round(2).tolist()
            raise DataError(
                f"{path}: none of its {len(xyz)} points lies in VoxelGrid.range_m "
                f"{self.modality.range_m}; they span {low} to {high} m: widen the range, or check "
                "the units (metres) and columns_bin"
            )
        return {
            "points": torch.from_numpy(voxels.points),
            "intensity": torch.from_numpy(voxels.intensity),
            "point_ok": torch.from_numpy(voxels.point_ok),
            "count": torch.from_numpy(voxels.count),
            "cell": torch.from_numpy(voxels.cell),
            "num_occupied": voxels.num_occupied,
        }

    def table(self, path: Path) -> Table:
        """The file's finite points, with intensities where they are needed."""
        table = _READERS[path.suffix.lower()](path, self.files)
        needed = PLACE
        if self.modality.with_intensity:
            if "intensity" not in table:
                raise DataError(
                    f"{path}: has no intensity, only {' '.join(table)}; set "
                    "VoxelGrid.with_intensity=False, or name it in SweepFiles.columns"
                )
            needed = (*PLACE, "intensity")
        return finite_rows(table, needed, path, drop=self.files.nan == "drop")

    def _augmentation(self, visit: Visit) -> np.ndarray:
        """One 3 × 3 matrix; z is scaled only."""
        files = self.files
        angle = np.deg2rad(visit.generator("rotate").uniform(-files.rotate_deg, files.rotate_deg))
        matrix = np.eye(3)
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        if files.flip:
            matrix = np.diag([*visit.generator("flip").choice([-1.0, 1.0], 2), 1.0]) @ matrix
        if files.scale is not None:
            matrix = matrix * visit.generator("scale").uniform(*files.scale)
        return matrix


_READERS: dict[str, Callable[[Path, SweepFiles], Table]] = {
    ".bin": lambda path, files: read_bin(path, num_columns=files.columns_bin),
    ".pcd": lambda path, files: read_pcd(path),
    ".ply": lambda path, files: read_ply(path)[0],
    ".npy": lambda path, files: read_npy(path, files.columns),
    ".npz": lambda path, files: read_npz(path, files.columns),
    ".xyz": lambda path, files: read_text(path, files.columns),
}


def available_readers() -> dict[str, str]:
    """By format, what reads it here; all of it is NumPy, which is always there."""
    return dict.fromkeys(SUFFIXES, f"numpy {np.__version__}")
