"""The point cloud of a scene's objects: the surface that the camera sees, noisy, with gaps."""

import numpy as np
from jaxtyping import Float32, Int64

from tools.sample_data.world.casting import Rays, meet_body
from tools.sample_data.world.render import camera_of, rays_of
from tools.sample_data.world.stage import Points, Stage

MOST_POINTS = 1024
_SIDE = 128  # rays of the grid that is cast over the picture
_NOISE_M = (0.003, 0.015)


def observe(stage: Stage) -> Points:
    """In metres, level, z up, x the camera's way, from the camera; at most `MOST_POINTS`."""
    rng = stage.scene.generator("cloud")
    rays, range_m, solids = _seen(stage)
    kept = (
        rng.uniform(size=len(range_m))
        > np.array([0.3 * body.material.lost for body in stage.bodies])[solids]
    )
    rays, range_m = rays.take(np.flatnonzero(kept)), range_m[kept]
    points = rays.at(range_m)
    points = points[_outside_gaps(points, rng)]
    chosen = np.sort(rng.permutation(len(points))[:MOST_POINTS])
    points = points[chosen] + rng.normal(0, rng.uniform(*_NOISE_M), size=(len(chosen), 3))
    return from_camera(stage, points.astype(np.float32))


def _seen(stage: Stage) -> tuple[Rays, Float32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """The rays that meet an object first, how far away, and which."""
    rays = rays_of(camera_of(stage.scene), _SIDE)
    range_m = np.full(len(rays), np.inf, dtype=np.float32)
    solids = np.zeros(len(rays), dtype=np.int64)
    for number, body in enumerate(stage.bodies):
        (hits,) = meet_body(body, [body.rest], [rays], solid=number)
        nearer = hits.range_m < range_m[hits.rows]
        range_m[hits.rows[nearer]] = hits.range_m[nearer]
        solids[hits.rows[nearer]] = number
    met = np.flatnonzero(np.isfinite(range_m))
    return rays.take(met), range_m[met], solids[met]


def _outside_gaps(points: Points, rng: np.random.Generator) -> Int64[np.ndarray, " kept"]:
    """All but one or two round holes; most of the points stay."""
    kept = np.ones(len(points), dtype=bool)
    for _ in range(int(rng.integers(0, 3))):
        distance = np.linalg.norm(points - points[rng.integers(len(points))], axis=1)
        kept &= distance > np.quantile(distance, rng.uniform(0.05, 0.15))
    return np.flatnonzero(kept)


def from_camera(stage: Stage, points: Points) -> Points:
    """Moved to the camera and turned about the vertical until it looks along x."""
    camera = camera_of(stage.scene)
    x, y, _ = camera.forward()
    ahead = np.array([x, y, 0]) / np.hypot(x, y)
    axes = np.stack([ahead, [-ahead[1], ahead[0], 0], [0, 0, 1]])
    return ((points - camera.place) @ axes.T).astype(np.float32)


def ply(points: Points) -> bytes:
    properties = [f"property float {axis}" for axis in "xyz"]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    text = "\n".join([*header, *properties, "end_header"]) + "\n"
    return text.encode() + points.astype("<f4").tobytes()
