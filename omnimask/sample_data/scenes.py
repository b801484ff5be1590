"""Five kinds of place for a LiDAR to stand in; metres, z up, the ground at z = 0.

Nothing higher than a mound is nearer to the origin than `CLEAR_M`, so the sensor is never inside
a thing.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from omnimask.sample_data.meshes import Mesh, box, cylinder, joined, revolved, sphere

Solid: TypeAlias = tuple[Mesh, float]
"""A mesh and the share of light it throws back."""

_ASPHALT, _SOIL, _CONCRETE, _METAL, _LEAF, _BARK, _CLOTH = 0.2, 0.3, 0.5, 0.85, 0.6, 0.35, 0.45
_EXTENT_M = 60.0
CLEAR_M = 1.7


def _ground(reflectivity: float) -> Solid:
    return box(2 * _EXTENT_M, 2 * _EXTENT_M, 0.2).moved(z=-0.2), reflectivity


def _car(rng: np.random.Generator, x: float, y: float, yaw_rad: float) -> list[Solid]:
    length, width, height = rng.uniform(3.8, 5.0), rng.uniform(1.7, 2.0), rng.uniform(1.4, 1.9)
    body = box(length, width, 0.55 * height).moved(z=0.25)
    cabin = box(0.55 * length, 0.9 * width, 0.45 * height).moved(-0.05 * length, 0, 0.55 * height)
    paint = rng.uniform(0.3, 1.0) * _METAL
    return [(part.turned(yaw_rad).moved(x, y), paint) for part in (body, cabin)]


def _pole(rng: np.random.Generator, x: float, y: float) -> Solid:
    return cylinder(rng.uniform(0.06, 0.15), rng.uniform(4, 8), segments=8).moved(x, y), _METAL


def _person(rng: np.random.Generator, x: float, y: float) -> list[Solid]:
    height = rng.uniform(1.5, 1.9)
    body = cylinder(rng.uniform(0.18, 0.28), height - 0.3, segments=8)
    head = sphere(0.13, segments=8).moved(z=height - 0.15)
    return [(part.moved(x, y), _CLOTH) for part in (body, head)]


def _tree(rng: np.random.Generator, x: float, y: float, *, pine: bool) -> list[Solid]:
    height, radius = rng.uniform(5, 12), rng.uniform(0.12, 0.35)
    trunk = cylinder(radius, height, segments=8)
    low, wide = rng.uniform(0.2, 0.5) * height, rng.uniform(1.0, 2.4)
    if pine:
        crown = revolved([(0, low), (wide, low), (0, height + 1)], segments=8)
    else:
        crown = sphere(1, segments=10).scaled(wide, wide, (height - low) / 2)
        crown = crown.moved(z=(height + low) / 2 + 1)
    return [(trunk.moved(x, y), _BARK), (crown.moved(x, y), _LEAF)]


def _house_row(rng: np.random.Generator, front: float, start: float, end: float) -> list[Solid]:
    """Houses along the x axis whose fronts lie about y = `front`; gaps between some of them."""
    solids, x = [], start
    side = np.sign(front)
    while x < end:
        width, depth = rng.uniform(6, 16), rng.uniform(6, 12)
        y = front + side * (depth / 2 + rng.uniform(0, 1.5))
        house = box(width, depth, rng.uniform(3.5, 14)).moved(x + width / 2, y)
        solids.append((house, rng.uniform(0.7, 1.2) * _CONCRETE))
        x += width + (rng.uniform(1, 5) if rng.uniform() < 0.4 else 0)
    return solids


def street(rng: np.random.Generator) -> list[Solid]:
    """Houses on both sides, parked cars, lamp posts, people on the pavement."""
    half = rng.uniform(5, 9)
    solids = [_ground(_ASPHALT)]
    for side in (-1, 1):
        solids += _house_row(rng, side * (half + 2.5), -_EXTENT_M, _EXTENT_M)
        for x in np.arange(-40, 40, rng.uniform(6, 9)):
            if rng.uniform() < 0.55:
                solids += _car(rng, x + rng.uniform(-1, 1), side * (half - 1.2), np.pi * (side > 0))
        for x in np.arange(-40, 40, rng.uniform(12, 22)):
            solids.append(_pole(rng, x, side * (half + 0.5)))
        for x in rng.uniform(-25, 25, size=rng.integers(0, 5)):
            solids += _person(rng, x, side * (half + 1.3))
    for x in rng.choice([-1, 1], size=2) * rng.uniform(8, 35, size=2):
        solids += _car(rng, x, rng.uniform(-0.3, 0.3) * half, 0.0)
    return solids


def junction(rng: np.random.Generator) -> list[Solid]:
    """Two streets that cross: blocks at the four corners, cars waiting on the arms."""
    half, other = rng.uniform(5, 9), rng.uniform(5, 9)
    solids = [_ground(_ASPHALT)]
    for side in (-1, 1):
        for along in (-1, 1):
            edge = other + 2.5
            first, last = (edge, _EXTENT_M) if along > 0 else (-_EXTENT_M, -edge - 14)
            solids += _house_row(rng, side * (half + 2.5), first, last)
            corner = box(12, 12, rng.uniform(4, 12))
            solids.append((corner.moved(along * (edge + 6), side * (half + 8.5)), _CONCRETE))
            far = box(rng.uniform(8, 12), 40, rng.uniform(4, 12))
            solids.append((far.moved(along * (edge + 6), side * (half + 34)), _CONCRETE))
            solids.append(_pole(rng, along * (other + 0.5), side * (half + 0.5)))
    for _ in range(rng.integers(3, 9)):
        lane, place = rng.choice([-0.4, 0.4]), rng.choice([-1, 1]) * rng.uniform(12, 35)
        if rng.uniform() < 0.5:
            solids += _car(rng, place, lane * half, 0.0)
        else:
            solids += _car(rng, lane * other, place, np.pi / 2)
    for _ in range(rng.integers(0, 6)):
        x, y = rng.choice([-1, 1], size=2) * (other + 1, half + 1) * rng.uniform(0.8, 1.2, size=2)
        solids += _person(rng, x, y)
    return solids


def forest(rng: np.random.Generator) -> list[Solid]:
    """Trees at random, bushes, and ground that rises and falls."""
    solids: list[Solid] = [_ground(_SOIL)]
    for x, y in rng.uniform(-40, 40, size=(rng.integers(8, 20), 2)):
        mound = sphere(1, segments=16).scaled(
            rng.uniform(4, 10), rng.uniform(4, 10), rng.uniform(0.2, 0.9)
        )
        solids.append((mound.moved(x, y), _SOIL))
    share_of_pines = rng.uniform()
    for x, y in rng.uniform(-40, 40, size=(rng.integers(60, 160), 2)):
        if np.hypot(x, y) > 4.5:
            solids += _tree(rng, x, y, pine=rng.uniform() < share_of_pines)
    for x, y in rng.uniform(-30, 30, size=(rng.integers(5, 25), 2)):
        if np.hypot(x, y) > 3:
            bush = sphere(1, segments=10).scaled(*rng.uniform(0.4, 1.2, size=3))
            solids.append((bush.moved(x, y, 0.3), _LEAF))
    return solids


def car_park(rng: np.random.Generator) -> list[Solid]:
    """Rows of parked cars, some places empty, lamp posts, a low wall around."""
    solids = [_ground(_ASPHALT)]
    row_gap, place_gap, taken = rng.uniform(6, 8.5), rng.uniform(2.6, 3.1), rng.uniform(0.4, 0.9)
    shift = rng.uniform(-0.2, 0.2) * row_gap
    for y in np.arange(-4.5, 5) * row_gap + shift:
        for x in np.arange(-24, 24, place_gap):
            if rng.uniform() < taken and abs(y) > 4.2:
                yaw = np.pi / 2 + rng.normal(0, 0.03) + np.pi * (rng.uniform() < 0.3)
                solids += _car(rng, x + rng.normal(0, 0.15), y, yaw)
    for x in (-18, 0, 18):
        solids.append(
            _pole(rng, x + rng.uniform(-2, 2), row_gap * rng.integers(-3, 3) + row_gap / 2)
        )
    wall = rng.uniform(0.6, 2.5)
    for side in (-1, 1):
        solids.append((box(60, 0.3, wall).moved(0, side * 38), _CONCRETE))
        solids.append((box(0.3, 76, wall).moved(side * 30, 0), _CONCRETE))
    return solids


def hall(rng: np.random.Generator) -> list[Solid]:
    """A closed room with a ceiling, columns, shelves and crates."""
    width, depth, height = rng.uniform(14, 45), rng.uniform(12, 36), rng.uniform(3.5, 8)
    solids = [_ground(_CONCRETE), (box(width, depth, 0.2).moved(z=height), _CONCRETE)]
    for side in (-1, 1):
        solids.append((box(width, 0.3, height).moved(0, side * depth / 2), _CONCRETE))
        solids.append((box(0.3, depth, height).moved(side * width / 2, 0), _CONCRETE))
    gap = rng.uniform(5, 9)
    for x in np.arange(gap / 2, width / 2 - 1, gap):
        for y in np.arange(gap / 2, depth / 2 - 1, gap):
            for mirror_x, mirror_y in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                column = box(0.5, 0.5, height).moved(mirror_x * x, mirror_y * y)
                solids.append((column, _CONCRETE))
    for _ in range(rng.integers(2, 8)):
        shelf = box(rng.uniform(2, 7), rng.uniform(0.6, 1.2), rng.uniform(1.5, 3))
        x, y = rng.uniform(-0.42, 0.42, size=2) * (width, depth)
        if np.hypot(x, y) > 5.5:
            solids.append((shelf.turned(rng.choice([0, np.pi / 2])).moved(x, y), _METAL))
    for _ in range(rng.integers(0, 12)):
        x, y = rng.uniform(-0.45, 0.45, size=2) * (width, depth)
        if np.hypot(x, y) > 3:
            crate = box(*rng.uniform(0.4, 1.3, size=3)).turned(rng.uniform(0, np.pi))
            solids.append((crate.moved(x, y), _CLOTH))
    return solids


SCENES: dict[str, Callable[[np.random.Generator], list[Solid]]] = {
    "car-park": car_park,
    "forest": forest,
    "hall": hall,
    "junction": junction,
    "street": street,
}


def built(solids: list[Solid], yaw_rad: float) -> tuple[Mesh, Float64[np.ndarray, " triangles"]]:
    """One mesh turned about the sensor, and the reflectivity of each of its triangles."""
    parts = [joined([mesh]) for mesh, _ in solids]
    counts = [len(part.triangles) for part in parts]
    reflectivity = np.repeat([share for _, share in solids], counts)
    return joined(parts).turned(yaw_rad), reflectivity
