"""Voxels: sweeps of a spinning LiDAR, ray-cast in made-up places, in the layout of KITTI's files.

A KITTI `.bin` file (Geiger et al. 2013, https://doi.org/10.1177/0278364913491297, section 3) is
nothing but fp32 quadruples x, y, z in metres, x forward and z up from the sensor, and intensity
in [0, 1].
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64

from omnimask.sample_data.files import FileJob, labelled_jobs
from omnimask.sample_data.meshes import Mesh
from omnimask.sample_data.scenes import CLEAR_M, SCENES, built

_SUFFIXES = (".bin", ".npy", ".bin", ".pcd", ".bin", ".bin", ".bin", ".bin")
MAX_RANGE_M = 40.0
_NUM_AZIMUTHS = 360
_NUM_BEAMS = (17, 23)


ABOUT = """
Made. LiDAR sweeps of 17 to 23 beams × 360 azimuths to 40 m, ray-cast in made-up places, with
range noise and lost returns. KITTI `.bin`: fp32 x, y, z (metres, from the sensor, z up) and
intensity in [0, 1]; the same four columns as NPY (n × 4) and PCD."""


def jobs(scale: float) -> list[FileJob]:
    return labelled_jobs(
        "voxels", tuple(SCENES), num_train=20, num_held_out=8, suffixes=_SUFFIXES, scale=scale
    )


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    mesh, reflectivity = built(SCENES[job.label](rng), rng.uniform(0, 2 * np.pi))
    height_m = rng.uniform(1.6, 2.0)
    x, y = rng.uniform(-0.7, 0.7, size=2) * CLEAR_M
    directions = beam_directions(rng)
    range_m, normals, triangle = _cast(mesh.moved(x, y, -height_m), directions)
    hit = np.flatnonzero(range_m < MAX_RANGE_M)
    range_m, directions = range_m[hit], directions[hit]
    slant = np.abs(np.sum(normals[hit] * directions, axis=1))
    intensity = reflectivity[triangle[hit]] * slant**0.5 * np.exp(-range_m / 60)
    intensity = np.clip(intensity * rng.normal(1, 0.08, size=len(hit)), 0, 1)
    # Dark and grazing returns are lost more often.
    kept = rng.uniform(size=len(hit)) > rng.uniform(0.01, 0.06) + 0.4 * np.exp(-intensity / 0.03)
    noisy_m = range_m + rng.normal(0, 0.02, size=len(hit))
    sweep = np.concatenate([directions * noisy_m[:, None], intensity[:, None]], axis=1)
    _write_sweep(root / job.path, sweep[kept].astype(np.float32))


def beam_directions(
    rng: np.random.Generator,
    *,
    num_beams: tuple[int, int] = _NUM_BEAMS,
    num_azimuths: int = _NUM_AZIMUTHS,
) -> Float64[np.ndarray, "rays 3"]:
    """Unit vectors of one turn, beam by beam; the mounting is a little off level. `num_beams` is
    the least and the greatest number.
    """
    drawn_beams = int(rng.integers(num_beams[0], num_beams[1] + 1))
    elevation = np.deg2rad(np.linspace(-24.8, rng.uniform(2, 12), drawn_beams))[:, None]
    start = rng.uniform(0, 2 * np.pi)
    azimuth = start + np.arange(num_azimuths) * 2 * np.pi / num_azimuths
    tilt = np.deg2rad(rng.normal(0, 0.7, size=2))
    elevation = elevation + tilt[0] * np.cos(azimuth) + tilt[1] * np.sin(azimuth)
    x, y = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth)
    return np.stack([x, y, np.sin(elevation)], axis=-1).reshape(-1, 3)


def _cast(
    mesh: Mesh, directions: Float64[np.ndarray, "rays 3"]
) -> tuple[Float32[np.ndarray, " rays"], Float32[np.ndarray, "rays 3"], Int64[np.ndarray, " rays"]]:
    """Range in metres (infinite without a hit), normal and triangle number for each ray."""
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(mesh.vertices.astype(np.float32)),
        o3d.core.Tensor.from_numpy(mesh.triangles.astype(np.uint32)),
    )
    rays = np.zeros((len(directions), 6), dtype=np.float32)
    rays[:, 3:] = directions
    answer = scene.cast_rays(o3d.core.Tensor.from_numpy(rays), nthreads=1)
    triangle = answer["primitive_ids"].numpy().astype(np.int64)
    return answer["t_hit"].numpy(), answer["primitive_normals"].numpy(), triangle


def _write_sweep(path: Path, sweep: Float32[np.ndarray, "points 4"]) -> None:
    if path.suffix == ".bin":
        sweep.astype("<f4").tofile(path)
    elif path.suffix == ".npy":
        np.save(path, sweep)
    else:
        header = (
            "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\n"
            "FIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\n"
            f"WIDTH {len(sweep)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\n"
            f"POINTS {len(sweep)}\nDATA binary\n"
        )
        path.write_bytes(header.encode() + sweep.astype("<f4").tobytes())
