"""What is particular to voxels: voxelising, queries, tokens, reading."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from modalities.voxels import (
    SweepFiles,
    VoxelGrid,
)
from modalities.voxels.values import VoxelValues
from modalities.voxels.voxelise import Voxels, voxelise
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Visit
from omnimask.tokens.tokens import Raw, Tokens
from tests.modalities.case_voxels import make_case, sweep

GRID = VoxelGrid(
    voxel_size_m=(1.0, 0.5, 2.0),
    range_m=((-4.0, 4.0), (-4.0, 4.0), (-1.0, 1.0)),
    max_voxels=200,
    points_per_voxel=4,
    empty_share=0.25,
)


def voxels_of(rows: np.ndarray, grid: VoxelGrid = GRID, seed: int = 0) -> Voxels:
    voxels = voxelise(rows[:, :3], rows[:, 3], grid, np.random.default_rng(seed))
    assert voxels is not None
    return voxels


def raw_of(*rows: np.ndarray, grid: VoxelGrid = GRID) -> Raw:
    samples = []
    for block in rows:
        voxels = voxels_of(block, grid)
        fields = {f.name: getattr(voxels, f.name) for f in dataclasses.fields(voxels)}
        samples.append(
            {k: v if isinstance(v, int) else torch.from_numpy(v) for k, v in fields.items()}
        )
    return grid.collate(samples)


def tokens_of(*rows: np.ndarray, grid: VoxelGrid = GRID) -> Tokens:
    return grid.split(raw_of(*rows, grid=grid))


# Voxelising


def test_occupied_cells_and_counts_by_hand() -> None:
    rows = np.array([[0.1, 0.1, 0, 1], [0.9, 0.4, 0.9, 2], [0.9, 0.6, 0, 3], [-4, -4, -1, 4]])
    voxels = voxels_of(rows.astype(np.float32))
    assert voxels.num_occupied == 3
    assert voxels.cell[:3].tolist() == [[0, 0, 0], [4, 8, 0], [4, 9, 0]]
    assert voxels.count.tolist() == [1, 2, 1, 0]
    assert voxels.point_ok.sum(axis=1).tolist() == [1, 2, 1, 0]
    assert sorted(voxels.intensity[1].tolist()) == [0, 0, 1, 2]


def test_points_outside_the_range_are_left_out() -> None:
    rows = np.array([[4.0, 0, 0, 0], [0, -4.01, 0, 0], [0, 0, 1.0, 0], [3.99, 3.99, 0.99, 0]])
    voxels = voxels_of(rows.astype(np.float32))
    assert voxels.count.tolist() == [1, 0]
    assert (
        voxelise(
            rows[:3, :3].astype(np.float32),
            rows[:3, 3].astype(np.float32),
            GRID,
            np.random.default_rng(0),
        )
        is None
    )


def test_occupied_cells_are_those_of_open3d() -> None:
    open3d = importlib.import_module("open3d")
    rows = sweep(0)
    grid = dataclasses.replace(GRID, voxel_size_m=(0.5, 0.5, 0.5), max_voxels=10_000)
    cloud = open3d.geometry.PointCloud(
        open3d.utility.Vector3dVector(rows[:, :3].astype(np.float64))
    )
    low, high = np.array(grid.range_m, dtype=np.float64).T
    reference = open3d.geometry.VoxelGrid.create_from_point_cloud_within_bounds(
        cloud, 0.5, low, high
    )
    expected = sorted(tuple(voxel.grid_index.tolist()) for voxel in reference.get_voxels())
    voxels = voxels_of(rows, grid)
    assert sorted(map(tuple, voxels.cell[: voxels.num_occupied].tolist())) == expected


def test_every_point_is_kept_in_its_own_cell_if_there_is_room() -> None:
    rows = sweep(1)
    grid = dataclasses.replace(GRID, max_voxels=10_000, points_per_voxel=300)
    voxels = voxels_of(rows, grid)
    kept = voxels.points[voxels.point_ok]
    assert sorted(map(tuple, kept.tolist())) == sorted(map(tuple, rows[:, :3].tolist()))
    low, size = np.array(grid.range_m)[:, 0], np.array(grid.voxel_size_m)
    inside = np.floor((voxels.points - low) / size) == voxels.cell[:, None]
    assert inside[voxels.point_ok].all()
    assert (voxels.count == voxels.point_ok.sum(axis=1)).all()


def test_more_points_or_voxels_than_fit_are_drawn_at_random() -> None:
    grid = dataclasses.replace(GRID, max_voxels=20, points_per_voxel=2)
    first, again, other = (voxels_of(sweep(0), grid, seed) for seed in (0, 0, 1))
    assert first.num_occupied == 20
    assert first.point_ok.sum(axis=1).max() == 2 < first.count.max()
    assert np.array_equal(first.cell, again.cell)
    assert np.array_equal(first.points, again.points)
    assert not np.array_equal(first.cell[:20], other.cell[:20])


def test_queries_are_empty_cells_drawn_evenly() -> None:
    rows = sweep(0, num_points=60)
    whole = voxels_of(rows, dataclasses.replace(GRID, max_voxels=10_000, empty_share=0.0))
    occupied = {tuple(cell) for cell in whole.cell.tolist()}
    grid = dataclasses.replace(GRID, max_voxels=20)
    drawn: dict[tuple, int] = {}
    for seed in range(400):
        voxels = voxels_of(rows, grid, seed)
        queries = [tuple(cell) for cell in voxels.cell[voxels.num_occupied :].tolist()]
        assert len(set(queries)) == 5 == grid.num_queries(20)
        assert not occupied & set(queries)
        for cell in queries:
            drawn[cell] = drawn.get(cell, 0) + 1
    num_empty = int(np.prod(grid.shape)) - len(occupied)
    assert len(drawn) == num_empty > 50  # 2000 draws over fewer than 128 cells
    assert max(drawn.values()) < 2 * 2000 / num_empty


def test_a_full_grid_has_nothing_to_ask() -> None:
    grid = dataclasses.replace(GRID, voxel_size_m=(4.0, 4.0, 2.0))
    rows = np.array([[x, y, 0, 0] for x in (-1, 1) for y in (-1, 1)], dtype=np.float32)
    assert voxels_of(rows, grid).cell.shape == (4, 3)


# Tokens


def test_occupied_then_queries_then_padding() -> None:
    few = np.array([[0.1, 0.1, 0, 1], [2.0, 2.0, 0, 2]], dtype=np.float32)
    tokens = tokens_of(sweep(0), few)
    assert tokens.num_valid[1] == 2
    assert tokens.num_scorable[1] == 2 + 1
    assert tokens.valid[1].tolist() == [True] * 2 + [False] * (GRID.num_tokens - 2)
    assert tokens.scorable[1].tolist() == [True] * 3 + [False] * (GRID.num_tokens - 3)
    assert not tokens.values[1, 2:].any()


def test_points_are_relative_to_the_centre_from_wall_to_wall() -> None:
    rows = np.array([[1.0, 0.25, -1.0, 0.5], [1.9999, 0.0, 0.0, 0.25]], dtype=np.float32)
    tokens = tokens_of(rows)
    voxel = VoxelValues.of(tokens.values[0, 0])
    assert tokens.coords[0, 0].tolist() == [1.5, 0.25, 0.0]
    places = sorted(voxel.places[:2].tolist())
    np.testing.assert_allclose(places, [[-1, 0, -1], [1, -1, 0]], atol=1e-3)
    assert voxel.ok.tolist() == [True, True, False, False]
    assert voxel.log_count.expm1().item() == pytest.approx(2)
    assert tokens.values[tokens.valid][:, : 3 * 4].abs().max() <= 1


def test_embedding_ignores_the_order_of_points() -> None:
    torch.manual_seed(0)
    embed = GRID.embed(16)
    voxel = VoxelValues.of(tokens_of(sweep(0)).values[0])
    few = voxel.ok.sum(dim=1) == 3
    assert few.any()
    order = [2, 0, 1, 3]
    shuffled = dataclasses.replace(
        voxel,
        places=voxel.places[:, order],
        intensity=voxel.intensity[:, order],
        ok=voxel.ok[:, order],
    )
    torch.testing.assert_close(embed(shuffled.packed()[few]), embed(voxel.packed()[few]))


def test_embedding_ignores_slots_without_a_point() -> None:
    torch.manual_seed(0)
    embed = GRID.embed(16)
    voxel = VoxelValues.of(tokens_of(sweep(0)).values[0])
    pad = torch.nn.functional.pad
    wider = dataclasses.replace(
        voxel,
        places=pad(voxel.places, (0, 0, 0, 3)),
        intensity=pad(voxel.intensity, (0, 3)),
        ok=pad(voxel.ok, (0, 3)),
    )
    torch.testing.assert_close(embed(wider.packed()), embed(voxel.packed()))


def test_embedding_does_not_read_whether_a_voxel_is_occupied() -> None:
    embed, values = GRID.embed(16), tokens_of(sweep(0)).values[0]
    hidden = values.clone()
    hidden[:, -1] = 0.0
    assert torch.equal(embed(values), embed(hidden))


@pytest.mark.parametrize(
    "fields", [{"voxel_size_m": (0.7, 0.5, 0.5)}, {"empty_share": 10.0}, {"max_voxels": 0}]
)
def test_settings_that_cannot_work(fields: dict) -> None:
    with pytest.raises(RecipeError):
        VoxelGrid(**fields)


# Files


def test_intensity_is_read_where_it_is_wanted(tmp_path: Path) -> None:
    rows = sweep(0)
    (tmp_path / "a.bin").write_bytes(rows.tobytes())
    np.save(tmp_path / "b.npy", rows)
    grid = dataclasses.replace(GRID, with_intensity=True, points_per_voxel=300)
    files = SweepFiles(columns=("x", "y", "z", "intensity"))
    source = files.open(str(tmp_path), grid)
    for index in (0, 1):
        sample = source.read(index, Visit(key=0, augment=False))
        kept = sample["intensity"][sample["point_ok"]]
        torch.testing.assert_close(kept.sort().values, torch.from_numpy(np.sort(rows[:, 3])))
    with pytest.raises(DataError, match=r"b\.npy.*no intensity"):
        SweepFiles().open(str(tmp_path), grid).read(1, Visit(key=0))
    plain = SweepFiles().open(str(tmp_path), GRID).read(0, Visit(key=0))
    assert not plain["intensity"].any()


def test_nuscenes_has_five_columns(tmp_path: Path) -> None:
    rows = np.concatenate([sweep(0), np.ones((600, 1), np.float32)], axis=1)
    (tmp_path / "a.bin").write_bytes(rows.tobytes())
    source = SweepFiles(columns_bin=5).open(str(tmp_path), GRID)
    assert source.read(0, Visit(key=0, augment=False))["count"].sum() == 600


def test_missing_returns_can_be_dropped(tmp_path: Path) -> None:
    rows = sweep(0)
    rows[:7, 0] = np.nan
    (tmp_path / "a.bin").write_bytes(rows.tobytes())
    source = SweepFiles(nan="drop").open(str(tmp_path), GRID)
    assert source.read(0, Visit(key=0, augment=False))["count"].sum() == 593


def test_augmentation_keeps_height_and_distances(tmp_path: Path) -> None:
    make_case(tmp_path)
    grid = dataclasses.replace(
        GRID, range_m=((-8.0, 8.0), (-8.0, 8.0), (-1.0, 1.0)), max_voxels=999, points_per_voxel=600
    )
    off = SweepFiles(rotate_deg=0.0, flip=False, scale=None)

    def points(files: SweepFiles, key: int) -> Tensor:
        sample = files.open(str(tmp_path), grid).read(0, Visit(key=key))
        return sample["points"][sample["point_ok"]]

    def level(xyz: Tensor) -> Tensor:
        return xyz[:, :2].norm(dim=1).sort().values

    plain = points(off, 0)
    for files in (dataclasses.replace(off, rotate_deg=45.0), dataclasses.replace(off, flip=True)):
        views = [points(files, key) for key in range(6)]
        assert any(not torch.equal(view.sort(0).values, plain.sort(0).values) for view in views)
        for view in views:
            torch.testing.assert_close(level(view), level(plain))
            torch.testing.assert_close(view[:, 2].sort().values, plain[:, 2].sort().values)
    scaled = points(dataclasses.replace(off, scale=(1.1, 1.1)), 0)
    torch.testing.assert_close(level(scaled), 1.1 * level(plain))
