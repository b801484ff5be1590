"""The point cloud of a scene's objects: the surface that the camera sees, noisy, with gaps.

Some of the ground about the objects is left in, as by one who cut it off by hand, a few points are
nowhere, and the sensor was not quite level: else heights and extents alone would tell most.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int64

from omnimask.sample_data.world.casting import Rays, meet_body, meet_surroundings
from omnimask.sample_data.world.render import camera_of, rays_of
from omnimask.sample_data.world.stage import FLOOR, Points, Stage

MOST_POINTS = 1024
_SIDE = 128  # rays of the grid that is cast over the picture
_NOISE_M = (0.003, 0.015)
_MOST_GROUND, _STRAYS = 0.3, (0.01, 0.05)  # as shares of the objects' points
_GROUND_REACH = 1.4  # of an object's radius
_TILT_DEG = 6.0


def observe(stage: Stage) -> Points:
    """In metres from the camera, z up but for a tilt, the rest turned anyhow; at most
    `MOST_POINTS`.
    """
    rng = stage.scene.generator("cloud")
    points = placed(stage, rng)
    turned = (points - camera_of(stage.scene).place) @ _mounting(rng).T
    return turned.astype(np.float32)


def placed(stage: Stage, rng: np.random.Generator) -> Float64[np.ndarray, "points 3"]:
    """Where the points lie in the room."""
    rays, range_m, solids = _seen(stage)
    kept = (
        rng.uniform(size=len(range_m))
        > np.array([0.3 * body.material.lost for body in stage.bodies])[solids]
    )
    rays, range_m = rays.take(np.flatnonzero(kept)), range_m[kept]
    points = rays.at(range_m)
    points = points[_outside_gaps(points, rng)]
    strays = rng.uniform(size=(int(rng.uniform(*_STRAYS) * len(points)), 3))
    low, high = points.min(axis=0), points.max(axis=0)
    ground = _ground(stage)
    num_ground = int(rng.uniform(0, _MOST_GROUND) * len(points))
    ground = ground[rng.permutation(len(ground))[:num_ground]]
    points = np.concatenate([points, ground, low + (high - low) * strays])
    chosen = np.sort(rng.permutation(len(points))[:MOST_POINTS])
    return points[chosen] + rng.normal(0, rng.uniform(*_NOISE_M), size=(len(chosen), 3))


def _ground(stage: Stage) -> Points:
    """What the camera sees of it about the objects."""
    rays = rays_of(camera_of(stage.scene), _SIDE // 2)
    hits = meet_surroundings(stage, rays)
    near = np.zeros(len(hits.rows), dtype=bool)
    free = np.ones(len(hits.rows), dtype=bool)
    for body in stage.bodies:
        away = np.linalg.norm(hits.places[:, :2] - body.rest.centre[:2], axis=1)
        near |= away < _GROUND_REACH * body.radius_m
        (met,) = meet_body(body, [body.rest], [rays], solid=0)
        free[met.rows] = False
    return hits.places[near & free & (hits.solids == FLOOR)]


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


def _mounting(rng: np.random.Generator) -> Float64[np.ndarray, "3 3"]:
    """The turn of the sensor: any heading, and a little off level."""
    heading, tilt = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.normal(0, _TILT_DEG))
    about_z = np.array(
        [[np.cos(heading), -np.sin(heading), 0], [np.sin(heading), np.cos(heading), 0], [0, 0, 1]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    return about_x @ about_z


def ply(points: Points) -> bytes:
    properties = [f"property float {axis}" for axis in "xyz"]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    text = "\n".join([*header, *properties, "end_header"]) + "\n"
    return text.encode() + points.astype("<f4").tobytes()
