"""Twelve kinds of object with random proportions, about one unit in size, z up."""

from collections.abc import Callable

import numpy as np

from omnimask.sample_data.meshes import Mesh, box, cylinder, joined, revolved, sphere, tube

Parts = list[tuple[str, Mesh]]  # each with the name of the part that it belongs to


def _ball(rng: np.random.Generator) -> Mesh:
    return sphere(0.5, segments=32).scaled(*rng.uniform(0.7, 1.3, size=3))


def _box(rng: np.random.Generator) -> Mesh:
    return box(*rng.uniform(0.4, 1.1, size=3))


def _cylinder(rng: np.random.Generator) -> Mesh:
    return cylinder(rng.uniform(0.2, 0.5), rng.uniform(0.5, 1.3), segments=32)


def _cone(rng: np.random.Generator) -> Mesh:
    radius, height = rng.uniform(0.3, 0.6), rng.uniform(0.6, 1.3)
    return revolved([(0, 0), (radius, 0), (rng.uniform(0, 0.25) * radius, height), (0, height)], 32)


def _torus(rng: np.random.Generator) -> Mesh:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = 0.5 * np.cos(angle), rng.uniform(0.35, 0.5) * np.sin(angle)
    curve = np.stack([x, y, 0 * angle], axis=1)
    return tube(curve, rng.uniform(0.08, 0.22), axis=(0, 0, 1), closed=True, segments=16)


def _octahedron(rng: np.random.Generator) -> Mesh:
    low, high = rng.uniform(0.4, 0.8, size=2)
    return revolved([(0, -low), (rng.uniform(0.35, 0.6), 0), (0, high)], segments=4)


def _helix(rng: np.random.Generator) -> Mesh:
    turns = rng.uniform(1.8, 4)
    angle = np.linspace(0, 2 * np.pi * turns, 100)
    radius = 0.4 * np.linspace(1, rng.uniform(0.6, 1.2), len(angle))
    z = np.linspace(0, rng.uniform(0.7, 1.3), len(angle))
    curve = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
    return tube(curve, rng.uniform(0.04, 0.08), axis=(0, 0, 1), segments=10)


def _four_legs(width: float, depth: float, height: float, thickness: float) -> list[Mesh]:
    x, y = (width - thickness) / 2, (depth - thickness) / 2
    leg = box(thickness, thickness, height)
    return [leg.moved(sx * x, sy * y) for sx in (-1, 1) for sy in (-1, 1)]


def table_parts(rng: np.random.Generator) -> Parts:
    width, depth = rng.uniform(0.7, 1.4), rng.uniform(0.5, 0.9)
    height, top = rng.uniform(0.4, 0.8), rng.uniform(0.03, 0.08)
    if rng.uniform() < 0.3:  # a round table on one column
        plate = cylinder(width / 2, top, segments=32).moved(z=height)
        foot = cylinder(width / 4, top).moved(z=0.0)
        column = cylinder(rng.uniform(0.03, 0.07), height)
        return [("top", plate), ("leg", column), ("leg", foot)]
    plate = box(width, depth, top).moved(z=height)
    legs = _four_legs(width, depth, height, rng.uniform(0.04, 0.1))
    return [("top", plate), *(("leg", leg) for leg in legs)]


def chair_parts(rng: np.random.Generator) -> Parts:
    width, depth = rng.uniform(0.4, 0.6, size=2)
    height, seat = rng.uniform(0.35, 0.5), rng.uniform(0.03, 0.1)
    back_height, thickness = rng.uniform(0.35, 0.7), rng.uniform(0.03, 0.06)
    parts = [("leg", leg) for leg in _four_legs(width, depth, height, thickness)]
    parts.append(("seat", box(width, depth, seat).moved(z=height)))
    back = box(width, thickness, back_height).moved(0, (depth - thickness) / 2, height + seat)
    parts.append(("back", back))
    if rng.uniform() < 0.4:  # arm rests
        arm = box(thickness, depth * 0.9, thickness)
        z = height + seat + 0.2
        parts += [("arm", arm.moved(side * (width - thickness) / 2, 0, z)) for side in (-1, 1)]
    return parts


def mug_parts(rng: np.random.Generator) -> Parts:
    radius, height = rng.uniform(0.25, 0.4), rng.uniform(0.5, 0.9)
    wall, waist = 0.9 * radius, radius * rng.uniform(0.8, 1.1)
    cup = revolved(
        [(0, 0), (waist, 0), (radius, height), (wall, height), (0.9 * waist, 0.06), (0, 0.06)], 32
    )
    angle = np.linspace(-np.pi / 2, np.pi / 2, 16)
    reach, span = rng.uniform(0.15, 0.3), height * rng.uniform(0.25, 0.38)
    x = min(radius, waist) * 0.95 + reach * np.cos(angle)
    curve = np.stack([x, 0 * angle, height / 2 + span * np.sin(angle)], axis=1)
    return [("cup", cup), ("handle", tube(curve, rng.uniform(0.03, 0.05), axis=(0, 1, 0)))]


def _bottle(rng: np.random.Generator) -> Mesh:
    radius, neck = rng.uniform(0.18, 0.3), rng.uniform(0.05, 0.09)
    shoulder, height = rng.uniform(0.45, 0.75), rng.uniform(0.95, 1.3)
    slope = shoulder + rng.uniform(0.08, 0.2)
    return revolved(
        [(0, 0), (radius, 0), (radius, shoulder), (neck, slope), (neck, height), (0, height)], 32
    )


def _stairs(rng: np.random.Generator) -> Mesh:
    """One solid block: joined boxes would have walls inside, and points on them."""
    steps, half_width = int(rng.integers(3, 7)), rng.uniform(0.2, 0.45)
    run, rise = rng.uniform(0.8, 1.2) / steps, rng.uniform(0.5, 1.0) / steps
    corners, faces = [], []

    def add_face(*outline: tuple[float, float, float]) -> None:
        first = len(corners)
        corners.extend(outline)
        faces.extend([(first, first + 1, first + 2), (first, first + 2, first + 3)])

    def add_across(x1: float, z1: float, x2: float, z2: float) -> None:
        w = half_width
        add_face((x1, -w, z1), (x2, -w, z2), (x2, w, z2), (x1, w, z1))

    for step in range(steps):
        x, z = step * run, (step + 1) * rise
        add_across(x, z, x + run, z)
        add_across(x, z - rise, x, z)
        for y in (-half_width, half_width):
            side = [(x, y, 0.0), (x + run, y, 0.0), (x + run, y, z), (x, y, z)]
            add_face(*(side if y < 0 else side[::-1]))
    add_across(steps * run, steps * rise, steps * run, 0)
    add_across(steps * run, 0, 0, 0)
    return Mesh(vertices=np.array(corners), triangles=np.array(faces))


def _whole(parts_of: Callable[[np.random.Generator], Parts]) -> Callable[..., Mesh]:
    return lambda rng: joined([mesh for _, mesh in parts_of(rng)])


SHAPES: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "ball": _ball,
    "bottle": _bottle,
    "box": _box,
    "chair": _whole(chair_parts),
    "cone": _cone,
    "cylinder": _cylinder,
    "helix": _helix,
    "mug": _whole(mug_parts),
    "octahedron": _octahedron,
    "stairs": _stairs,
    "table": _whole(table_parts),
    "torus": _torus,
}
