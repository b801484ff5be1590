"""A scene put up: meshes that Open3D casts rays at, each object in a frame of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from omnimask.sample_data.meshes import Mesh, box, cylinder, joined
from omnimask.sample_data.world.factors import Room, Scene, Thing
from omnimask.sample_data.world.materials import MATERIALS, Material
from omnimask.sample_data.world.motion import Moves
from omnimask.sample_data.world.paint import Paint, rgb
from omnimask.sample_data.world.shapes import Instance, mesh_of

Points = Float32[np.ndarray, "points 3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """From the object's own frame: turned, then moved; its middle lies at `centre`."""

    centre: Float32[np.ndarray, " 3"]
    turn: Float32[np.ndarray, "3 3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """An object; `corners` are its vertices in metres, in its own frame."""

    thing: Thing
    material: Material
    paint: Paint
    corners: Points
    scene: Any
    radius_m: float
    rest: Pose

    def moved(self, moves: Moves, heading_rad: float) -> list[Pose]:
        """Its pose at every time of the motion, on or above the ground at its lowest point."""
        ahead = np.array([np.cos(heading_rad), np.sin(heading_rad), 0])
        aside = np.array([-ahead[1], ahead[0], 0])
        poses = []
        for along, across, up, yaw, pitch in zip(
            moves.along, moves.across, moves.up, moves.yaw, moves.pitch, strict=True
        ):
            turn = (_about(aside, pitch) @ _about(_UP, yaw) @ self.rest.turn).astype(np.float32)
            flat = np.array([self.thing.x_m, self.thing.y_m, 0]) + along * ahead + across * aside
            poses.append(_standing(self.corners, turn, flat, up))
        return poses


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """Floor, walls, ceiling and clutter: triangles of several solids with a paint each."""

    scene: Any
    clutter: Any
    paints: tuple[Paint, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """`bodies` begin with the subject."""

    scene: Scene
    bodies: tuple[Body, ...]
    surroundings: Surroundings


_UP = np.array([0.0, 0.0, 1.0])
FLOOR, WALLS, CEILING = range(3)
"""The first solids of the surroundings; clutter follows."""


def build(scene: Scene) -> Stage:
    bodies = tuple(_body(thing) for thing in (scene.subject, *scene.others))
    return Stage(scene=scene, bodies=bodies, surroundings=_surroundings(scene))


def _body(thing: Thing) -> Body:
    unit = _mesh_of(thing.shape)
    mesh = unit.scaled(thing.size_m, thing.size_m, thing.size_m)
    corners = mesh.vertices.astype(np.float32)
    turn = _about(_UP, thing.yaw_rad)
    if thing.pose == "lying":
        turn = turn @ _about(np.array([1.0, 0, 0]), np.pi / 2)
    paint = Paint(
        first=rgb(thing.hue, thing.saturation, thing.brightness),
        second=rgb(*thing.second),
        pattern=thing.pattern,
        step=thing.step,
    )
    turn = turn.astype(np.float32)
    return Body(
        thing=thing,
        material=MATERIALS[thing.material],
        paint=paint,
        corners=corners,
        scene=_open3d_scene([mesh]),
        radius_m=float(np.linalg.norm(corners, axis=1).max()),
        rest=_standing(corners, turn, np.array([thing.x_m, thing.y_m, 0]), 0.0),
    )


@lru_cache(maxsize=512)
def _mesh_of(shape: Instance) -> Mesh:
    return mesh_of(shape)


def _standing(
    corners: Points,
    turn: Float32[np.ndarray, "3 3"],
    flat: Float64[np.ndarray, " 3"],
    up: float,
) -> Pose:
    """With its lowest corner `up` above the ground."""
    lowest = float((corners @ turn[2]).min())
    centre = np.array([flat[0], flat[1], up - lowest], dtype=np.float32)
    return Pose(centre=centre, turn=turn)


def _about(axis: Float64[np.ndarray, " 3"], angle: float) -> Float64[np.ndarray, "3 3"]:
    """Rodrigues' rotation, for columns."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _surroundings(scene: Scene) -> Surroundings:
    room = scene.room
    sides = _room_sides(room)
    things = _clutter(scene)
    paints = [
        _room_paint(room.floor, room.floor_step_m, room.floor_colours),
        _room_paint(room.wall, room.wall_step_m, room.wall_colours),
        Paint(first=rgb(0, 0, 0.8), second=rgb(0, 0, 0.8), pattern="plain", step=1.0),
        *(paint for _, paint in things),
    ]
    meshes = [mesh for mesh, _ in things]
    return Surroundings(
        scene=_open3d_scene([*sides, *meshes]),
        clutter=_open3d_scene([joined(meshes)]),
        paints=tuple(paints),
    )


def _room_paint(pattern: str, step_m: float, colours: Sequence[tuple[float, ...]]) -> Paint:
    first, second = (rgb(*colour) for colour in colours)
    return Paint(first=first, second=second, pattern=pattern, step=step_m)


def _room_sides(room: Room) -> list[Mesh]:
    """Floor, the four walls as one, ceiling."""
    whole = box(2 * room.half_x_m, 2 * room.half_y_m, room.height_m)
    level = np.ptp(whole.vertices[whole.triangles][:, :, 2], axis=1) == 0
    low = whole.vertices[whole.triangles][:, :, 2].max(axis=1) == 0
    return [
        Mesh(vertices=whole.vertices, triangles=whole.triangles[chosen])
        for chosen in (level & low, ~level, level & ~low)
    ]


def _clutter(scene: Scene) -> list[tuple[Mesh, Paint]]:
    """Boxes and columns behind the subject, as the camera sees it, between it and the walls."""
    rng, found = scene.generator("clutter"), []
    for _ in range(scene.room.clutter):
        angle = scene.view.azimuth_rad + np.pi + rng.uniform(-1.3, 1.3)
        away_m, width_m = rng.uniform(3.8, 6.5), rng.uniform(0.3, 0.9)
        height_m = rng.uniform(0.4, 2.2)
        x_m = scene.subject.x_m + away_m * np.cos(angle)
        y_m = scene.subject.y_m + away_m * np.sin(angle)
        round_, hue, saturation, brightness = rng.uniform(size=4).tolist()
        solid = (
            cylinder(width_m / 2, height_m, segments=12)
            if round_ < 0.5
            else box(width_m, width_m, height_m).turned(2 * np.pi * hue)
        )
        colour = rgb(hue, 0.5 * saturation, 0.25 + 0.6 * brightness)
        paint = Paint(first=colour, second=colour, pattern="plain", step=1.0)
        found.append((solid.moved(x_m, y_m), paint))
    return found


def _open3d_scene(meshes: Sequence[Mesh]) -> Any:
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    for mesh in meshes:
        scene.add_triangles(
            o3d.core.Tensor.from_numpy(mesh.vertices.astype(np.float32)),
            o3d.core.Tensor.from_numpy(mesh.triangles.astype(np.uint32)),
        )
    return scene
