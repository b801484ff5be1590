"""A sweep of points to voxels: which cells are occupied, by which points, and where to ask.

NumPy: of Open3D's voxel calls only `voxel_down_sample_and_trace` says which points lie where; it is
slower (tools/bench_readers.py) and has neither seeded choices nor cells that are not cubes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from modalities.voxels.modality import VoxelGrid


@dataclass(frozen=True, kw_only=True, slots=True)
class Voxels:
    """Occupied voxels in the order of their cell, then empty cells that are asked about.

    `count` is the number of points in a voxel before any was left out; it and all points are zero
    for an empty cell. `cell` counts from the low corner of the range, x, y, z.
    """

    points: Float[np.ndarray, "n k 3"]  # metres
    intensity: Float[np.ndarray, "n k"]
    point_ok: Bool[np.ndarray, "n k"]
    count: Int64[np.ndarray, " n"]
    cell: Int64[np.ndarray, "n 3"]
    num_occupied: int


def voxelise(
    xyz: Float[np.ndarray, "p 3"],
    intensity: Float[np.ndarray, " p"],
    grid: VoxelGrid,
    generator: np.random.Generator,
) -> Voxels | None:
    """None if no point lies in the grid's range.

    Beyond `max_voxels` voxels, or `points_per_voxel` points in one, a random choice is kept. Empty
    cells to ask about, `empty_share` of the number of occupied ones, are drawn evenly from all.
    """
    low = np.array([axis[0] for axis in grid.range_m])
    cells = np.floor((xyz.astype(np.float64) - low) / np.array(grid.voxel_size_m))
    inside = ((cells >= 0) & (cells < np.array(grid.shape))).all(axis=1)
    if not inside.any():
        return None
    # Shuffled, so that the first points of a voxel are a random choice of them.
    order = generator.permutation(np.flatnonzero(inside))
    xyz, intensity = xyz[order], intensity[order]
    ids = np.ravel_multi_index(tuple(cells[order].astype(np.int64).T), grid.shape)
    occupied, voxel_of_point, counts = np.unique(ids, return_inverse=True, return_counts=True)
    kept = np.arange(len(occupied))
    if len(occupied) > grid.max_voxels:
        kept = np.sort(generator.choice(len(occupied), grid.max_voxels, replace=False))
    empty = _empty_cells(occupied, grid, grid.num_queries(len(kept)), generator)
    scorable = np.concatenate([occupied[kept], empty])
    slots = _slots(voxel_of_point, counts)
    row_of_voxel = np.full(len(occupied), -1)
    row_of_voxel[kept] = np.arange(len(kept))
    rows = row_of_voxel[voxel_of_point]
    used = (rows >= 0) & (slots < grid.points_per_voxel)
    size = (len(scorable), grid.points_per_voxel)
    points, intensities = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    point_ok = np.zeros(size, bool)
    points[rows[used], slots[used]] = xyz[used]
    intensities[rows[used], slots[used]] = intensity[used]
    point_ok[rows[used], slots[used]] = True
    return Voxels(
        points=points,
        intensity=intensities,
        point_ok=point_ok,
        count=np.concatenate([counts[kept], np.zeros(len(empty), np.int64)]),
        cell=np.stack(np.unravel_index(scorable, grid.shape), axis=1),
        num_occupied=len(kept),
    )


def _slots(voxel_of_point: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The rank of each point among the points of its voxel, in the order they come."""
    order = np.argsort(voxel_of_point, kind="stable")
    starts = np.cumsum(counts) - counts
    slots = np.empty(len(order), np.int64)
    slots[order] = np.arange(len(order)) - np.repeat(starts, counts)
    return slots


def _empty_cells(
    occupied: np.ndarray, grid: VoxelGrid, number: int, generator: np.random.Generator
) -> np.ndarray:
    """Different empty cells, sorted. `occupied` is sorted, so that `occupied[i] - i` empty cells
    come before the i-th occupied one, which finds the j-th empty cell without listing them all."""
    num_empty = int(np.prod(grid.shape)) - len(occupied)
    ranks = np.sort(generator.choice(num_empty, min(number, num_empty), replace=False))
    return ranks + np.searchsorted(occupied - np.arange(len(occupied)), ranks, side="right")
