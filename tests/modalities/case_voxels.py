"""Small made-up sweeps in several formats, written without the reader's own code."""

from pathlib import Path

import numpy as np

from modalities.voxels import SweepFiles, VoxelGrid
from tests.modalities.case import Case


def sweep(seed: int, *, num_points: int = 600, reach_m: float = 3.9) -> np.ndarray:
    """A floor and a wall: x, y, z, intensity, all inside the case's grid."""
    generator = np.random.default_rng(seed)
    rows = generator.uniform(-reach_m, reach_m, size=(num_points, 4))
    rows[:, 2] = generator.normal(-0.8, 0.02, num_points)
    wall = num_points // 3
    rows[:wall, 0] = 2.0 + seed % 3 * 0.5
    rows[:wall, 2] = generator.uniform(-0.9, 0.9, wall)
    rows[:, 3] = generator.uniform(0, 1, num_points)
    return rows.astype(np.float32)


def pcd_binary(rows: np.ndarray) -> bytes:
    header = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\n"
        f"COUNT 1 1 1 1\nWIDTH {len(rows)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\n"
        f"POINTS {len(rows)}\nDATA binary\n"
    )
    return header.encode() + rows.astype("<f4").tobytes()


def _written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _npy(folder: Path, name: str, rows: np.ndarray) -> Path:
    np.save(folder / name, rows)
    return folder / name


def make_case(root: Path) -> Case:
    for label, seeds in (("street", (0, 1, 2)), ("hall", (3, 4, 5))):
        (root / label).mkdir()
        for seed in seeds:
            _written(root / label, f"{seed}.bin", sweep(seed).tobytes())
    # Close to the sensor only: fewer occupied voxels than the others.
    _written(root / "hall", "0_small.bin", sweep(6, num_points=40, reach_m=1.0).tobytes())
    _written(root / "street", "p.pcd", pcd_binary(sweep(7)))
    _npy(root / "street", "q.npy", sweep(8))
    nan = sweep(9)
    nan[5, 1] = np.nan
    return Case(
        modality=VoxelGrid(
            range_m=((-4.0, 4.0), (-4.0, 4.0), (-1.0, 1.0)), max_voxels=48, points_per_voxel=6
        ),
        files=SweepFiles(),
        root=root,
        round_trip_tolerance={
            "points": 1e-5,
            "intensity": 0.0,
            "point_ok": 0.0,
            "count": 0.0,
            "occupied": 0.0,
        },
        imputed_suffix=".ply",
        bad_files={
            "empty bin": lambda folder: _written(folder, "empty.bin", b""),
            "truncated bin": lambda folder: _written(folder, "cut.bin", sweep(0).tobytes()[:-6]),
            "text named ply": lambda folder: _written(folder, "letter.ply", b"Dear reader,\n"),
            "truncated pcd": lambda folder: _written(folder, "cut.pcd", pcd_binary(sweep(1))[:-9]),
            "bin with nan": lambda folder: _written(folder, "missing_returns.bin", nan.tobytes()),
            "npy of three axes": lambda folder: _npy(folder, "cube.npy", np.zeros((4, 4, 4))),
            "npy of two columns": lambda folder: _npy(folder, "flat.npy", np.zeros((4, 2))),
            "far away": lambda folder: _written(folder, "far.bin", (sweep(2) + 500).tobytes()),
        },
    )
