"""Twelve families of shapes, each with three continuous parameters, and instances drawn from them.

An instance is a family with drawn parameters; scenes take theirs from a fixed pool, whose last part
is kept for held-out scenes, so that no object is met on both sides. The parameters mean the same in
every family: `slender` is height by width, `thick` how stout the parts are, `taper` how much it
narrows upwards; each in [0, 1].
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from omnimask.sample_data.meshes import Mesh, box, joined, revolved, sphere, tube
from omnimask.sample_data.world.randomness import generator

_SEGMENTS = 28
_TRAIN_PER_FAMILY, _HELD_OUT_PER_FAMILY = 512, 128


def _mix(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


def _ball(slender: float, thick: float, taper: float) -> Mesh:
    """An ellipsoid, flattened from one side, that may be an egg."""
    ball = sphere(0.5, segments=_SEGMENTS)
    z = ball.vertices[:, 2]
    narrow = (1 - _mix(0, 0.9, taper) * z)[:, None] * np.array([1, _mix(0.65, 1.0, thick), 0])
    narrow[:, 2] = _mix(0.75, 1.5, slender)
    return Mesh(vertices=ball.vertices * narrow, triangles=ball.triangles)


def _tapered_box(width: float, depth: float, height: float, top: float) -> Mesh:
    """`top` is the upper face's share of the lower one's edges."""
    whole = box(width, depth, height)
    narrow = np.ones_like(whole.vertices)
    narrow[whole.vertices[:, 2] > 0, :2] = top
    return Mesh(vertices=whole.vertices * narrow, triangles=whole.triangles)


def _box(slender: float, thick: float, taper: float) -> Mesh:
    return _tapered_box(1, _mix(0.45, 1.0, thick), _mix(0.6, 1.7, slender), _mix(1, 0.55, taper))


def _cylinder(slender: float, thick: float, taper: float) -> Mesh:
    height, radius = _mix(0.7, 1.8, slender), _mix(0.28, 0.5, thick)
    profile = [(0, 0), (radius, 0), (radius * _mix(1, 0.6, taper), height), (0, height)]
    return revolved(profile, _SEGMENTS)


def _cone(slender: float, thick: float, taper: float) -> Mesh:
    height, radius = _mix(0.7, 1.6, slender), _mix(0.35, 0.6, thick)
    # Bulging sides at no taper, hollow ones at full taper.
    middle = radius * _mix(0.64, 0.36, taper)
    return revolved([(0, 0), (radius, 0), (middle, height / 2), (0, height)], _SEGMENTS)


def _torus(slender: float, thick: float, taper: float) -> Mesh:
    """A ring that stands on its edge, rounder or narrower upwards."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    z = 0.5 * np.sin(angle) * _mix(0.8, 1.4, slender)
    x = 0.5 * np.cos(angle) * (1 - _mix(0, 0.6, taper) * z)
    curve = np.stack([x, 0 * angle, z], axis=1)
    return tube(curve, _mix(0.08, 0.2, thick), axis=(0, 1, 0), closed=True, segments=12)


def _gem(slender: float, thick: float, taper: float) -> Mesh:
    """Two pyramids of six sides, base to base."""
    height, waist = _mix(0.9, 1.9, slender), _mix(0.62, 0.3, taper)
    radius = _mix(0.35, 0.6, thick)
    return revolved([(0, 0), (radius, height * waist), (0, height)], 6)


def _bottle(slender: float, thick: float, taper: float) -> Mesh:
    height, radius = _mix(1.0, 1.7, slender), _mix(0.24, 0.36, thick)
    neck, shoulder = radius * _mix(0.45, 0.25, taper), height * _mix(0.6, 0.4, taper)
    profile = [(0, 0), (radius, 0), (radius, shoulder), (neck, shoulder + 0.22 * height)]
    return revolved([*profile, (neck, height), (0, height)], _SEGMENTS)


def _mug(slender: float, thick: float, taper: float) -> Mesh:
    height, top, wall = _mix(0.6, 1.2, slender), 0.36, _mix(0.02, 0.09, thick)
    foot = top * _mix(1.1, 0.6, taper)
    cup = revolved(
        [
            *((0, 0), (foot, 0), (top, height), (top - wall, height)),
            *((foot - wall, wall), (0, wall)),
        ],
        _SEGMENTS,
    )
    angle = np.linspace(-np.pi / 2, np.pi / 2, 10)
    x = 0.95 * (foot + top) / 2 + 0.27 * np.cos(angle)
    z = height / 2 + 0.3 * height * np.sin(angle)
    handle = np.stack([x, 0 * angle, z], axis=1)
    return joined([cup, tube(handle, _mix(0.035, 0.08, thick), axis=(0, 1, 0), segments=8)])


def _four_legs(width: float, depth: float, height: float, leg: float, lean: float) -> list[Mesh]:
    """`lean` moves their feet outwards."""
    x, y = (width - leg) / 2, (depth - leg) / 2
    legs = []
    for side in (-1, 1):
        for end in (-1, 1):
            whole = box(leg, leg, height).moved(side * x, end * y)
            out = (1 - whole.vertices[:, 2:] / height) * np.array([side * lean, end * lean, 0])
            legs.append(Mesh(vertices=whole.vertices + out, triangles=whole.triangles))
    return legs


def _table(slender: float, thick: float, taper: float) -> Mesh:
    height, leg = _mix(0.45, 0.95, slender), _mix(0.06, 0.16, thick)
    plate = box(1.2, 0.8, 0.6 * leg).moved(z=height)
    return joined([plate, *_four_legs(1.2, 0.8, height, leg, _mix(-0.12, 0.12, taper))])


def _chair(slender: float, thick: float, taper: float) -> Mesh:
    bar, back = _mix(0.05, 0.14, thick), _mix(0.45, 0.95, slender)
    seat = box(0.6, 0.6, bar).moved(z=0.5)
    rest = _tapered_box(0.6, bar, back, _mix(1, 0.45, taper)).moved(0, 0.3 - bar / 2, 0.5 + bar)
    return joined([seat, rest, *_four_legs(0.6, 0.6, 0.5, bar, 0.0)])


def _steps(slender: float, thick: float, taper: float) -> Mesh:
    """Four of them; `taper` narrows the block from step to step."""
    count, rise, width = 4, _mix(0.45, 1.0, slender), _mix(0.35, 0.8, thick)
    blocks = []
    for step in range(count):
        narrow = 1 - 0.5 * taper * step / count
        block = box(1 / count, width * narrow, rise * (step + 1) / count)
        blocks.append(block.moved((step + 0.5) / count - 0.5))
    return joined(blocks)


def _spring(slender: float, thick: float, taper: float) -> Mesh:
    angle = np.linspace(0, 2 * np.pi * 3, 54)
    up = np.linspace(0, 1, len(angle))
    radius = 0.42 * (1 - _mix(0, 0.7, taper) * up)
    z = up * _mix(0.7, 1.5, slender)
    curve = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
    return tube(curve, _mix(0.045, 0.1, thick), axis=(0, 0, 1), segments=8)


def _arch(slender: float, thick: float, taper: float) -> Mesh:
    """Two posts and a beam."""
    height, post = _mix(0.6, 1.4, slender), _mix(0.14, 0.3, thick)
    left, right = (
        _tapered_box(post, 0.35, height, _mix(1, 0.5, taper)).moved(side * (0.5 - post / 2))
        for side in (-1, 1)
    )
    return joined([left, right, box(1.0, 0.35, post).moved(z=height)])


FAMILIES: dict[str, Callable[[float, float, float], Mesh]] = {
    "arch": _arch,
    "ball": _ball,
    "bottle": _bottle,
    "box": _box,
    "chair": _chair,
    "cone": _cone,
    "cylinder": _cylinder,
    "gem": _gem,
    "mug": _mug,
    "spring": _spring,
    "steps": _steps,
    "table": _table,
    "torus": _torus,
}
NAMES = tuple(FAMILIES)
NUM_TRAIN = _TRAIN_PER_FAMILY * len(NAMES)
NUM_HELD_OUT = _HELD_OUT_PER_FAMILY * len(NAMES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One object of the pool; `number` names it for good."""

    number: int
    family: str
    slender: float
    thick: float
    taper: float


@lru_cache(maxsize=NUM_TRAIN + NUM_HELD_OUT)
def instance(seed: int, number: int) -> Instance:
    """Numbers below `NUM_TRAIN` are for training scenes, the next `NUM_HELD_OUT` for others."""
    assert 0 <= number < NUM_TRAIN + NUM_HELD_OUT, number
    slender, thick, taper = generator(seed, f"instance {number}", "shape").uniform(size=3).tolist()
    family = NAMES[number % len(NAMES)]
    return Instance(number=number, family=family, slender=slender, thick=thick, taper=taper)


def draw_instance(rng: np.random.Generator, seed: int, *, split: str) -> Instance:
    if split == "train":
        return instance(seed, int(rng.integers(NUM_TRAIN)))
    return instance(seed, NUM_TRAIN + int(rng.integers(NUM_HELD_OUT)))


def mesh_of(found: Instance) -> Mesh:
    """Its longest edge along an axis is 1, its middle the origin."""
    mesh = FAMILIES[found.family](found.slender, found.thick, found.taper)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    vertices = (mesh.vertices - (low + high) / 2) / (high - low).max()
    return Mesh(vertices=vertices, triangles=mesh.triangles)


def volume(mesh: Mesh) -> float:
    """Of a closed surface; where parts overlap, what they share counts twice."""
    a, b, c = (mesh.vertices[mesh.triangles[:, i]] for i in range(3))
    return abs(float(np.sum(a * np.cross(b, c)))) / 6
