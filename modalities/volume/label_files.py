"""Files of class ids, cut and mirrored like the scans they belong to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from modalities.volume.files import VolumeFiles, need_readers, opened
from modalities.volume.labels import UNKNOWN, VolumeLabels
from modalities.volume.readers import SUFFIXES, Scan
from modalities.volume.views import Grain, View, mirrored, nearest, random_view, view_of
from omnimask.data.file_list import FileList
from omnimask.data.folders import list_files
from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Sample, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeLabelFiles:
    """Class ids in the formats of scans; `files` are those of the scans, with another `path`, so
    that views are aligned. Ids are never mixed."""

    path: str = "."
    scans: VolumeFiles

    def open(self, root: str, modality: VolumeLabels, /) -> "VolumeLabelSource":
        labels = self.scans.labels
        found = list_files(root, self.path, SUFFIXES, what="class volumes", labels=labels)
        need_readers(found)
        return VolumeLabelSource(found, self.scans, modality)


@dataclass(frozen=True, slots=True)
class VolumeLabelSource:
    """Random access to one view of each."""

    found: FileList
    files: VolumeFiles
    labels: VolumeLabels

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        """`classes` (d h w)."""
        with self.found.local(index) as path:
            return self._view(path, visit)

    def _view(self, path: Path, visit: Visit) -> Sample:
        files = self.files
        scan = opened(path, array=files.array, spacing_mm=files.spacing_mm)
        grain = Grain(size=self.labels.size, spacing_mm=self.labels.spacing_mm)
        view = view_of(scan, grain)
        if visit.augment:
            view = random_view(scan, grain, visit, zoom=files.zoom, flip=files.flip)
        return {"classes": mirrored(nearest(self._ids(scan, view), view.size), view)}

    def _ids(self, scan: Scan, view: View) -> Int64[Tensor, "d h w"]:
        voxels = scan.cut(view.box, max_voxels=self.files.max_voxels)
        ids = np.full(voxels.shape[:3], UNKNOWN) if voxels.shape[3] != 1 else voxels[..., 0]
        unknown = self.labels.unknown
        known = np.ones(ids.shape, bool) if unknown is None else ids != unknown
        whole = ids.astype(np.int64)
        strange = known & ((whole != ids) | (whole < 0) | (whole >= len(self.labels.names)))
        if strange.any():
            raise DataError(
                f"{scan.path}: has the class id {ids[strange][0]:g}; expected 0 to "
                f"{len(self.labels.names) - 1} in one channel; set names and unknown of "
                f"{self.labels.name}, or mend the file"
            )
        return torch.from_numpy(np.where(known, whole, UNKNOWN))
