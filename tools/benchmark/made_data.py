"""Samples made of random numbers, in place of files: for machines without readers or data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from modalities.audio import AudioSpectrogram
from modalities.image import ImagePatches, LabelPatches
from modalities.points import PointGroups
from modalities.tabular import TableCells
from modalities.tabular.schema import Column, Table
from modalities.video import VideoTubelets
from modalities.voxels import VoxelGrid
from modalities.voxels.voxelise import voxelise
from omnimask.foundation.rng import numpy_generator
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.modality import Label, Modality, Sample, Visit

Rng = np.random.Generator

_STATISTICS: dict[type, tuple[tuple[float, ...] | float, ...]] = {
    VideoTubelets: ((0.5,) * 3, (0.25,) * 3),
    AudioSpectrogram: (-4.0, 4.0),
}
_TABLES = (
    Table(
        name="wide",
        columns=(
            *(Column(name=f"number {i}", kind="numeric", mean=0.0, std=1.0) for i in range(9)),
            *(
                Column(name=f"word {i}", kind="category", categories=("a", "b", "c"))
                for i in range(4)
            ),
        ),
    ),
    Table(
        name="narrow",
        columns=tuple(Column(name=f"number {i}", kind="numeric", std=1.0) for i in range(5)),
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeFiles:
    """Takes the place of a modality's files; samples are functions of their number and the visit.

    `ragged`: every fourth clip, sound and cloud is short, as real ones are. Sweeps and rows of
    tables are of several lengths in any case.
    """

    num_samples: int = 64
    ragged: bool = True

    def open(self, root: str, modality: Any, /) -> "MadeSource":
        return MadeSource(files=self, modality=modality)


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeSource:
    files: MadeFiles
    modality: Modality

    def __len__(self) -> int:
        return self.files.num_samples

    def name(self, index: int, /) -> str:
        return f"sample {index}"

    def label(self, index: int, /) -> Label:
        return None

    def read(self, index: int, visit: Visit, /) -> Sample:
        generator = numpy_generator(visit.key, f"{self.modality.name} {index}")
        short = self.files.ragged and index % 4 == 3
        return _SAMPLES[type(self.modality)](self.modality, index, generator, short)


def on_made_data(recipe: Recipe, files: MadeFiles | None = None) -> Recipe:
    """The recipe with made samples in place of files, and statistics where it had none."""
    files = files or MadeFiles()
    streams = tuple(
        replace(stream, files=dict.fromkeys(stream.files, files), held_out=None)
        for stream in recipe.data.streams
    )
    return replace(
        recipe,
        modalities=tuple(_with_statistics(modality) for modality in recipe.modalities),
        data=replace(recipe.data, streams=streams),
    )


def _with_statistics(modality: Modality) -> Modality:
    if isinstance(modality, TableCells):
        return replace(modality, tables=modality.tables or _TABLES)
    if isinstance(modality, ImagePatches):
        if modality.standardise == "each":
            return modality
        mean, std = ((number,) * modality.num_channels for number in (0.5, 0.25))
    elif type(modality) in _STATISTICS:
        mean, std = _STATISTICS[type(modality)]
    else:
        return modality
    known: Any = modality
    return replace(known, mean=known.mean or mean, std=known.std or std)


def _image(modality: ImagePatches, index: int, rng: Rng, short: bool) -> Sample:
    return {"pixels": _bytes(rng, modality.num_channels, *modality.size)}


def _labels(modality: LabelPatches, index: int, rng: Rng, short: bool) -> Sample:
    classes = rng.integers(0, modality.num_classes, modality.map_size, dtype=np.int32)
    return {"classes": torch.from_numpy(classes)}


def _video(modality: VideoTubelets, index: int, rng: Rng, short: bool) -> Sample:
    num_frames = modality.num_frames * 3 // 4 if short else modality.num_frames
    return {"frames": _bytes(rng, num_frames, 3, *modality.size)}


def _audio(modality: AudioSpectrogram, index: int, rng: Rng, short: bool) -> Sample:
    step = modality.patch[0]
    frames = modality.window_frames // step // (2 if short else 1) * step
    logmel = rng.normal(-4.0, 4.0, (frames, modality.num_mels)).astype(np.float32)
    return {"logmel": torch.from_numpy(logmel)}


def _points(modality: PointGroups, index: int, rng: Rng, short: bool) -> Sample:
    """On a sphere; a short cloud has so few points that some of its groups are missing."""
    num_points = modality.num_groups * 3 // 4 if short else modality.num_points
    xyz = rng.normal(size=(num_points, 3))
    xyz /= np.linalg.norm(xyz, axis=1, keepdims=True)
    return {
        "xyz": torch.from_numpy(xyz.astype(np.float32)),
        "features": torch.zeros(num_points, 3 * len(modality.features)),
    }


def _voxels(modality: VoxelGrid, index: int, rng: Rng, short: bool) -> Sample:
    """Points all over the range, so many that about half the voxels of a sample are occupied."""
    low, high = np.array(modality.range_m).T
    num_points = modality.max_voxels * (1 + index % 4)
    xyz = rng.uniform(low, high, (num_points, 3)).astype(np.float32)
    made = voxelise(xyz, rng.random(num_points, dtype=np.float32), modality, rng)
    assert made is not None, "all points lie in the range"
    return {
        "points": torch.from_numpy(made.points),
        "intensity": torch.from_numpy(made.intensity),
        "point_ok": torch.from_numpy(made.point_ok),
        "count": torch.from_numpy(made.count),
        "cell": torch.from_numpy(made.cell),
        "num_occupied": made.num_occupied,
    }


def _row(modality: TableCells, index: int, rng: Rng, short: bool) -> Sample:
    """A row of one of the tables; a tenth of the cells is missing, never the first."""
    assert modality.tables is not None, "on_made_data gives it tables"
    table = modality.tables[index % len(modality.tables)]
    cells: dict[str, float | str | None] = {}
    for number, column in enumerate(table.columns):
        if number and rng.random() < 0.1:
            cells[column.name] = None
        elif column.categories:
            cells[column.name] = column.categories[rng.integers(len(column.categories))]
        else:
            cells[column.name] = float(rng.normal(column.mean, column.scale))
    kinds = {column.name: column.kind for column in table.columns}
    return {"table": table.name, "kinds": kinds, "cells": cells}


def _bytes(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))


_SAMPLES: Mapping[type, Callable[[Any, int, Rng, bool], Sample]] = {
    ImagePatches: _image,
    LabelPatches: _labels,
    VideoTubelets: _video,
    AudioSpectrogram: _audio,
    PointGroups: _points,
    VoxelGrid: _voxels,
    TableCells: _row,
}
