"""Colour, depth and class of what a camera sees, by casting rays at triangle meshes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from omnimask.sample_data.meshes import Mesh

_RAYS_PER_SIDE = 3  # of a pixel; odd, so that one ray goes through its centre
_LIFT_M = 1e-3  # so that a surface does not shadow itself


@dataclass(frozen=True, kw_only=True, slots=True)
class Paint:
    """Two colours in [0, 1]; `pattern` is plain, checks or stripes of `step_m`, fixed in space."""

    first: Float64[np.ndarray, " rgb"]
    second: Float64[np.ndarray, " rgb"]
    pattern: str
    step_m: float

    def at(self, points: Float64[np.ndarray, "rays 3"]) -> Float64[np.ndarray, "rays rgb"]:
        # Off zero, where flat things stand: rounding would mix the two colours there.
        cells = np.floor(points / self.step_m + 0.137).astype(int)
        odd = {
            "plain": np.zeros(len(points), dtype=bool),
            "checks": cells.sum(axis=1) % 2 == 1,
            "stripes": cells[:, :2].sum(axis=1) % 2 == 1,
        }[self.pattern]
        return np.where(odd[:, None], self.second, self.first)


@dataclass(frozen=True, kw_only=True, slots=True)
class Solid:
    mesh: Mesh
    class_id: int
    paint: Paint


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """At `place`, looking at `target`, z up; a square picture `view_deg` wide."""

    place: Float64[np.ndarray, " 3"]
    target: Float64[np.ndarray, " 3"]
    view_deg: float

    def forward(self) -> Float64[np.ndarray, " 3"]:
        """Unit vector from the place to the target."""
        return _unit(self.target - self.place)

    def directions(self, side: int) -> Float64[np.ndarray, "rays 3"]:
        """Unit vectors through the centres of `side` × `side` cells, row by row from the top."""
        forward = self.forward()
        right = _unit(np.cross(forward, [0.0, 0.0, 1.0]))
        up = np.cross(right, forward)
        reach = np.tan(np.deg2rad(self.view_deg) / 2)
        across = ((np.arange(side) + 0.5) / side * 2 - 1) * reach
        x, y = across[None, :, None], -across[:, None, None]
        return _unit(forward + x * right + y * up).reshape(-1, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Light:
    """Parallel light from `direction`, a unit vector; `ambient` is the share that is everywhere."""

    direction: Float64[np.ndarray, " 3"]
    colour: Float64[np.ndarray, " rgb"]
    ambient: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """Colour in [0, 1], averaged over each pixel; depth along the viewing direction and class at
    the pixel's centre."""

    colour: Float64[np.ndarray, "h w rgb"]
    depth_m: Float64[np.ndarray, "h w"]
    class_ids: Int64[np.ndarray, "h w"]


def render(solids: Sequence[Solid], camera: Camera, light: Light, *, side: int) -> Rendered:
    """A picture of `side` × `side` pixels; every ray must meet a solid."""
    scene = _scene_of(solids)
    directions = camera.directions(side * _RAYS_PER_SIDE)
    answer = scene.cast_rays(_rays(camera.place, directions), nthreads=1)
    range_m = answer["t_hit"].numpy().astype(np.float64)
    assert np.isfinite(range_m).all(), "a ray met nothing"
    solid_ids = answer["geometry_ids"].numpy().astype(np.int64)
    normals = answer["primitive_normals"].numpy().astype(np.float64)
    normals *= -np.sign(np.sum(normals * directions, axis=1, keepdims=True))
    points = camera.place + range_m[:, None] * directions

    albedo = np.zeros_like(points)
    for number, solid in enumerate(solids):
        seen = solid_ids == number
        albedo[seen] = solid.paint.at(points[seen])
    facing = np.clip(normals @ light.direction, 0, None)
    facing *= ~_shadowed(scene, points + _LIFT_M * normals, light)
    bright = light.ambient + (1 - light.ambient) * facing
    colour = np.clip(albedo * bright[:, None] * light.colour, 0, 1)

    cells = (side, _RAYS_PER_SIDE, side, _RAYS_PER_SIDE)
    middle = _RAYS_PER_SIDE // 2
    class_ids = np.array([solid.class_id for solid in solids])[solid_ids]
    return Rendered(
        colour=colour.reshape(*cells, 3).mean(axis=(1, 3)),
        depth_m=(range_m * (directions @ camera.forward())).reshape(cells)[:, middle, :, middle],
        class_ids=class_ids.reshape(cells)[:, middle, :, middle],
    )


def _scene_of(solids: Sequence[Solid]) -> Any:
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    for solid in solids:
        scene.add_triangles(
            o3d.core.Tensor.from_numpy(solid.mesh.vertices.astype(np.float32)),
            o3d.core.Tensor.from_numpy(solid.mesh.triangles.astype(np.uint32)),
        )
    return scene


def _rays(starts: Float[np.ndarray, "*rays 3"], directions: Float[np.ndarray, "*more 3"]) -> Any:
    import open3d as o3d

    both = np.broadcast_arrays(starts, directions)
    return o3d.core.Tensor.from_numpy(np.concatenate(both, axis=-1).astype(np.float32))


def _shadowed(
    scene: Any, points: Float64[np.ndarray, "rays 3"], light: Light
) -> Bool[np.ndarray, " rays"]:
    return scene.test_occlusions(_rays(points, light.direction), nthreads=1).numpy()


def _unit(vectors: Float64[np.ndarray, "*lead 3"]) -> Float64[np.ndarray, "*lead 3"]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
