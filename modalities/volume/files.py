"""Scans in a folder: crops, windowed and resampled."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from modalities.volume.modality import VolumePatches
from modalities.volume.readers import NIFTI, SUFFIXES, Scan, Spacing, open_scan
from modalities.volume.views import Grain, View, mirrored, random_view, resampled, view_of
from omnimask.data.file_list import FileList, LabelsFrom
from omnimask.data.folders import list_files
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.optional import needs
from omnimask.tokens.modality import Sample, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeFiles:
    """NIfTI and NumPy files of scans below `path`, found recursively, in sorted order.

    `path`: folder relative to the root. `labels`: "folder" takes the name of a file's folder, none
    at the top. `array`: which one of an .npz file. `spacing_mm` (depth, height, width): of files
    that do not say it. Training views: a random box of the modality's size, `zoom` times as large
    by a random factor, mirrored along each axis with its probability in `flip`. Other views: the
    middle. `max_voxels`: read for one view.
    """

    path: str = "."
    labels: LabelsFrom = "folder"
    array: str | None = None
    spacing_mm: Spacing | None = None
    zoom: tuple[float, float] | None = None
    flip: tuple[float, float, float] = (0.0, 0.0, 0.0)
    max_voxels: int = 200_000_000

    def __post_init__(self) -> None:
        check_views(self.zoom, self.flip)

    def open(self, root: str, modality: VolumePatches, /) -> "VolumeSource":
        found = list_files(root, self.path, SUFFIXES, what="scans", labels=self.labels)
        need_readers(found)
        return VolumeSource(found, self, modality)


def check_views(zoom: tuple[float, float] | None, flip: tuple[float, float, float]) -> None:
    """RecipeError for settings of random boxes that cannot be drawn."""
    if zoom is not None and not 0 < zoom[0] <= zoom[1]:
        raise RecipeError(f"zoom must be (low, high) with 0 < low <= high, got {zoom}")
    if not all(0 <= chance <= 1 for chance in flip):
        raise RecipeError(f"flip must be three probabilities in [0, 1], got {flip}")


def need_readers(found: FileList) -> None:
    if found.endings & set(NIFTI):
        needs("nibabel", extra="volume")


@dataclass(frozen=True, slots=True)
class VolumeSource:
    """Random access to one view of each scan; nothing stays open between reads."""

    found: FileList
    files: VolumeFiles
    modality: VolumePatches

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        """`voxels` (d c h w) fp32, at most of the modality's size."""
        with self.found.local(index) as path:
            return self._view(self.scan(path), visit)

    def _view(self, scan: Scan, visit: Visit) -> Sample:
        files = self.files
        view = view_of(scan, self.grain)
        if visit.augment:
            view = random_view(scan, self.grain, visit, zoom=files.zoom, flip=files.flip)
        voxels = resampled(windowed(self.voxels(scan, view), self.modality.window), view.size)
        return {"voxels": mirrored(voxels, view).transpose(0, 1).contiguous()}

    @property
    def grain(self) -> Grain:
        return Grain(size=self.modality.size, spacing_mm=self.modality.spacing_mm)

    def scan(self, path: Path) -> Scan:
        """DataError for a file with other channels than the modality has."""
        scan = opened(path, array=self.files.array, spacing_mm=self.files.spacing_mm)
        if scan.num_channels != self.modality.num_channels:
            raise DataError(
                f"{path}: has {scan.num_channels} channels; expected {self.modality.num_channels}; "
                f"set num_channels of {self.modality.name}, or leave the file out"
            )
        return scan

    def voxels(self, scan: Scan, view: View) -> Float[Tensor, "c d h w"]:
        """Those of the view's box, as the file has them."""
        voxels = scan.cut(view.box, max_voxels=self.files.max_voxels)
        with np.errstate(invalid="ignore", over="ignore"):  # of a damaged file; inf is refused
            voxels = voxels.astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(voxels, -1, 0)))


def opened(path: Path, *, array: str | None, spacing_mm: Spacing | None) -> Scan:
    """The file's own voxel size comes before the one that is given."""
    scan = open_scan(path, array=array)
    return replace(scan, spacing_mm=scan.spacing_mm or spacing_mm)


def windowed(
    voxels: Float[Tensor, "*shape"], window: tuple[float, float] | None
) -> Float[Tensor, "*shape"]:
    """From 0 to 1 in the window, cut off outside."""
    if window is None:
        return voxels
    return ((voxels - window[0]) / (window[1] - window[0])).clamp(0.0, 1.0)
