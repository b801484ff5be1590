"""The lidar sweep of a whole scene: objects, clutter, ground and walls, in KITTI's layout."""

import numpy as np
from jaxtyping import Float32

from omnimask.sample_data.voxels import beam_directions
from omnimask.sample_data.world.casting import Rays, meet_body, meet_surroundings
from omnimask.sample_data.world.factors import Scene
from omnimask.sample_data.world.stage import Stage

_ROOM_ECHO, _ROOM_LOST = 0.45, 0.03
_NOISE_M = 0.02
_SENSOR_HEIGHT_M = 1.73  # KITTI's: a box can leave out the ground by its height
_NUM_BEAMS, _NUM_AZIMUTHS = (26, 30), 200


def observe(stage: Stage) -> Float32[np.ndarray, "points 4"]:
    """x, y, z in metres from the sensor, z up; intensity in [0, 1]."""
    rng = stage.scene.generator("sweep")
    place = _sensor_place(stage.scene, rng)
    directions = beam_directions(rng, num_beams=_NUM_BEAMS, num_azimuths=_NUM_AZIMUTHS).astype(
        np.float32
    )
    rays = Rays(starts=place[None], directions=directions)
    hits = meet_surroundings(stage, rays)
    range_m = np.full(len(rays), np.inf, dtype=np.float32)
    range_m[hits.rows] = hits.range_m
    normals = np.zeros_like(directions)
    normals[hits.rows] = hits.normals
    echo = np.full(len(rays), _ROOM_ECHO * rng.uniform(0.6, 1.4), dtype=np.float32)
    lost = np.full(len(rays), _ROOM_LOST, dtype=np.float32)
    for number, body in enumerate(stage.bodies):
        (met,) = meet_body(body, [body.rest], [rays], solid=number)
        nearer = met.range_m < range_m[met.rows]
        rows = met.rows[nearer]
        range_m[rows], normals[rows] = met.range_m[nearer], met.normals[nearer]
        echo[rows], lost[rows] = body.material.echo, body.material.lost
    slant = np.abs(np.einsum("nc,nc->n", normals, directions))
    intensity = echo * slant**0.5 * np.exp(-range_m / 60)
    intensity = (intensity * rng.normal(1, 0.08, size=len(rays))).clip(0, 1)
    kept = np.isfinite(range_m) & (rng.uniform(size=len(rays)) > lost)
    noisy_m = range_m + rng.normal(0, _NOISE_M, size=len(rays))
    turned = directions[kept] * noisy_m[kept, None]
    return np.concatenate([turned, intensity[kept, None]], axis=1).astype(np.float32)


def _sensor_place(scene: Scene, rng: np.random.Generator) -> Float32[np.ndarray, " 3"]:
    """On the camera's side of the subject, at a place of its own."""
    thing = scene.subject
    angle = scene.view.azimuth_rad + rng.uniform(-0.6, 0.6)
    away_m = rng.uniform(2.2, 4.0) + 0.5 * thing.size_m
    x_m = thing.x_m + away_m * np.cos(angle)
    y_m = thing.y_m + away_m * np.sin(angle)
    return np.array([x_m, y_m, _SENSOR_HEIGHT_M], dtype=np.float32)


def kitti(sweep: Float32[np.ndarray, "points 4"]) -> bytes:
    return sweep.astype("<f4").tobytes()
