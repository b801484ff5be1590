"""Point clouds and meshes in a folder, normalised and augmented."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from modalities.points.augment import Cloud, in_unit_sphere, rotation, upright
from modalities.points.modality import PointGroups
from modalities.points.readers.choice import SUFFIXES, Mesh, read_points
from modalities.points.readers.meshes import sample_surface
from modalities.points.readers.open3d_part import estimated_normals
from omnimask.data.file_list import FileList, LabelsFrom
from omnimask.data.folders import list_files
from omnimask.data.point_files import COLOR, NORMAL, PLACE, Table, finite_rows, stack
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.optional import needs
from omnimask.foundation.rng import numpy_generator
from omnimask.tokens.modality import Sample, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class PointFiles:
    """Files of points (ply, pcd, xyz, npy, npz) and meshes (ply with faces, off, obj, stl).

    A cloud with more points than the modality takes is subsampled, one with fewer is kept whole; a
    mesh is sampled evenly on its surface. Then the cloud is turned until `up_axis` is z,
    normalised, and in training rotated about z ("up") or freely ("any"), stretched along each axis
    by a factor from `scale`, shifted by at most `shift` and each point moved by `jitter` (a
    deviation, cut off at 3 of them). `shift` and `jitter` are in units of the normalised cloud;
    the defaults of `scale` and `shift` are those of Point-MAE's code.

    `columns` names the columns of xyz, txt and npy (x y z nx ny nz red green blue).
    `nan`: what to do with points that are not finite. `estimate_normals`: fit planes to the cloud
    where a file has no normals. `suffixes`: the formats taken from the folder; ".txt" is known too.
    """

    path: str = "."
    labels: LabelsFrom = "folder"
    normalize: Literal["unit_sphere", "none"] = "unit_sphere"
    rotate: Literal["none", "up", "any"] = "up"
    scale: tuple[float, float] | None = (2 / 3, 3 / 2)
    shift: float = 0.2
    jitter: float = 0.0
    up_axis: Literal["x", "y", "z"] = "z"
    nan: Literal["error", "drop"] = "error"
    columns: tuple[str, ...] = PLACE
    estimate_normals: bool = False
    suffixes: tuple[str, ...] = SUFFIXES

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise RecipeError(
                f"PointFiles scale must be (low, high) with 0 < low <= high, got {self.scale}"
            )
        if not set(PLACE) <= set(self.columns):
            raise RecipeError(f"PointFiles columns must have x, y and z, got {self.columns}")

    def open(self, root: str, modality: Any, /) -> "PointSource":
        if not isinstance(modality, PointGroups):
            raise RecipeError(
                f"PointFiles feeds PointGroups, got {type(modality).__name__}; use the Files "
                "record of that modality"
            )
        found = list_files(root, self.path, self.suffixes, what="points", labels=self.labels)
        if self.estimate_normals:
            needs("open3d", extra="points", what="estimate_normals")
        if ".stl" in found.endings:
            first = next(name for name in found.names if name.lower().endswith(".stl"))
            needs("open3d", extra="points", what=first)
        return PointSource(files=self, modality=modality, found=found)


@dataclass(frozen=True, kw_only=True, slots=True)
class PointSource:
    """The opened files. Samples are `xyz` (p 3) and `features` (p f) with p up to num_points."""

    files: PointFiles
    modality: PointGroups
    found: FileList

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | float | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        with self.found.local(index) as path:
            table = self.table(path, visit)
        cloud = Cloud(xyz=stack(table, PLACE), normals=self._normals(table))
        cloud = upright(cloud, self.files.up_axis)
        if self.files.normalize == "unit_sphere":
            cloud = Cloud(xyz=in_unit_sphere(cloud.xyz), normals=cloud.normals)
        if visit.augment:
            cloud = self._augmented(cloud, visit)
        features = {
            "colors": lambda: 2.0 * stack(table, COLOR) - 1.0,
            "normals": lambda: cloud.normals,
        }
        blocks = [features[name]() for name in self.modality.features]
        channels = np.concatenate([np.zeros((len(cloud.xyz), 0)), *blocks], axis=1)
        return {
            "xyz": torch.from_numpy(cloud.xyz.astype(np.float32)),
            "features": torch.from_numpy(channels.astype(np.float32)),
        }

    def table(self, path: Path, visit: Visit) -> Table:
        """At most `num_points` finite points with the columns that the features need."""
        generator = _generator(visit, "points")
        found = read_points(path, self.files.columns)
        if isinstance(found, Mesh):
            found = sample_surface(found, self.modality.num_points, generator, path)
        needed = self._needed_columns(found, path)
        found = finite_rows(found, needed, path, drop=self.files.nan == "drop")
        if "nx" in needed or "normals" not in self.modality.features:
            return _subset(found, self.modality.num_points, generator)
        normals = estimated_normals(stack(found, PLACE), path)
        found = found | {name: normals[:, i] for i, name in enumerate(NORMAL)}
        return _subset(found, self.modality.num_points, generator)

    def _needed_columns(self, table: Mapping[str, np.ndarray], path: Path) -> tuple[str, ...]:
        needed = PLACE
        for feature, columns in (("colors", COLOR), ("normals", NORMAL)):
            if feature not in self.modality.features:
                continue
            if all(name in table for name in columns):
                needed += columns
            elif feature == "colors" or not self.files.estimate_normals:
                fix = ", set estimate_normals=True" if feature == "normals" else ""
                raise DataError(
                    f"{path}: has no {feature} (columns {' '.join(columns)}), only "
                    f"{' '.join(table)}; take {feature!r} out of PointGroups.features{fix}, or "
                    "name them in PointFiles.columns if the format has no names"
                )
        return needed

    def _normals(self, table: Table) -> np.ndarray | None:
        return stack(table, NORMAL) if "normals" in self.modality.features else None

    def _augmented(self, cloud: Cloud, visit: Visit) -> Cloud:
        files = self.files
        if files.rotate != "none":
            cloud = cloud.moved(rotation(files.rotate, visit.generator("rotate")))
        if files.scale is not None:
            cloud = cloud.moved(np.diag(visit.generator("scale").uniform(*files.scale, size=3)))
        offset = visit.generator("shift").uniform(-files.shift, files.shift, size=3)
        noise = visit.generator("jitter").normal(size=cloud.xyz.shape).clip(-3, 3) * files.jitter
        return Cloud(xyz=(cloud.xyz + offset + noise).astype(np.float32), normals=cloud.normals)


def _generator(visit: Visit, purpose: str) -> np.random.Generator:
    """The held-out view is drawn as well, but the same on every visit."""
    return visit.generator(purpose) if visit.augment else numpy_generator(0, purpose)


def _subset(table: Table, num_points: int, generator: np.random.Generator) -> Table:
    length = len(table["x"])
    if length <= num_points:
        return table
    kept = np.sort(generator.choice(length, num_points, replace=False))
    return {name: column[kept] for name, column in table.items()}
