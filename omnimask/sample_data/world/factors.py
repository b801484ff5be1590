"""The factors of a scene, each drawn on its own, and as a row of `factors.parquet`."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from omnimask.sample_data.world.layout import place_of, senses_of, split_of
from omnimask.sample_data.world.materials import MATERIALS
from omnimask.sample_data.world.motion import MOST_DELAY_S, MOTIONS, Motion
from omnimask.sample_data.world.randomness import choice, generator, log_uniform
from omnimask.sample_data.world.shapes import Instance, draw_instance

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
_HUES = (0.0, 0.075, 0.15, 0.33, 0.5, 0.61, 0.76, 0.9)
_HUE_SPREAD = 0.025
PATTERNS = ("plain", "checks", "stripes", "dots", "spiral", "marble")
POSES = ("upright", "lying")
WALLS = ("plain", "checks", "stripes", "bricks", "dots", "marble")
FLOORS = ("plain", "checks", "stripes", "marble")
SIZES_M = (1.4, 2.6)
MOST_OBJECTS = 3
CLUTTER = (1, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One object at rest on the ground; `hue`, `saturation`, `brightness` and those of the second
    colour in [0, 1]; `size_m` is its longest side, `step` a pattern's repeat as a share of it.
    """

    shape: Instance
    size_m: float
    x_m: float
    y_m: float
    yaw_rad: float
    pose: str
    material: str
    colour: str
    hue: float
    saturation: float
    brightness: float
    second: tuple[float, float, float]
    pattern: str
    step: float


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The camera: around the subject, seen from it at `azimuth_rad` and `elevation_rad`; off by
    (`off_x_m`, `off_z_m`) to the side and upwards; `view_deg` wide.
    """

    azimuth_rad: float
    elevation_rad: float
    distance_m: float
    off_x_m: float
    off_z_m: float
    view_deg: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sun:
    """`azimuth_rad` is from the camera's side: 0 is behind it, positive to its right."""

    azimuth_rad: float
    elevation_rad: float
    warmth: float
    ambient: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """From the origin `half_x_m` and `half_y_m` to the walls; patterns of wall and floor with their
    repeats, and two colours (hue, saturation, brightness) each. `clutter` counts what stands about.
    """

    half_x_m: float
    half_y_m: float
    height_m: float
    wall: str
    wall_step_m: float
    wall_colours: tuple[tuple[float, float, float], tuple[float, float, float]]
    floor: str
    floor_step_m: float
    floor_colours: tuple[tuple[float, float, float], tuple[float, float, float]]
    clutter: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """All that is drawn of a scene; the subject is the largest object, and the one that moves."""

    seed: int
    number: int
    subject: Thing
    others: tuple[Thing, ...]
    motion: Motion
    view: View
    sun: Sun
    room: Room

    @property
    def split(self) -> str:
        return split_of(self.number)

    def generator(self, purpose: str) -> np.random.Generator:
        """For what is no factor: noise and the like."""
        return generator(self.seed, self.number, purpose)


def draw_scene(seed: int, number: int) -> Scene:
    """A pure function of its arguments."""

    def rng(purpose: str) -> np.random.Generator:
        return generator(seed, number, purpose)

    split = split_of(number)
    view = _view(rng("view"))
    subject = _subject(rng("subject"), seed, split)
    num_others = int(rng("count").integers(MOST_OBJECTS))
    return Scene(
        seed=seed,
        number=number,
        subject=subject,
        others=_others(rng("others"), seed, split, subject, view, num_others),
        motion=_motion(rng("motion"), view),
        view=view,
        sun=_sun(rng("sun")),
        room=_room(rng("room")),
    )


def _subject(rng: np.random.Generator, seed: int, split: str) -> Thing:
    x_m, y_m = rng.uniform(-1.5, 1.5, size=2).tolist()
    return _thing(rng, seed, split, size_m=log_uniform(rng, *SIZES_M), x_m=x_m, y_m=y_m)


def _thing(
    rng: np.random.Generator, seed: int, split: str, *, size_m: float, x_m: float, y_m: float
) -> Thing:
    colour = int(rng.integers(len(COLOURS)))
    return Thing(
        shape=draw_instance(rng, seed, split=split),
        size_m=size_m,
        x_m=x_m,
        y_m=y_m,
        yaw_rad=float(rng.uniform(0, 2 * np.pi)),
        pose=POSES[int(rng.uniform() < 0.3)],
        material=choice(rng, tuple(MATERIALS)),
        colour=COLOURS[colour],
        hue=(_HUES[colour] + float(rng.uniform(-_HUE_SPREAD, _HUE_SPREAD))) % 1,
        saturation=float(rng.uniform(0.55, 1)),
        brightness=float(rng.uniform(0.5, 1)),
        second=_any_colour(rng, saturation=0.5),
        pattern=choice(rng, PATTERNS),
        step=float(rng.uniform(0.16, 0.34)),
    )


def _any_colour(rng: np.random.Generator, *, saturation: float) -> tuple[float, float, float]:
    hue, share, brightness = rng.uniform(size=3).tolist()
    return hue, saturation * share, 0.15 + 0.8 * brightness


def _others(
    rng: np.random.Generator, seed: int, split: str, subject: Thing, view: View, count: int
) -> tuple[Thing, ...]:
    """Smaller ones, each on its own side of the subject, never between it and the camera."""
    first_side, things = (-1, 1)[int(rng.integers(2))], []
    for number in range(count):
        size_m = subject.size_m * float(rng.uniform(0.4, 0.62))
        # Seen from the subject: 0 is where the camera is.
        side = first_side * (-1) ** number
        angle = view.azimuth_rad + side * float(rng.uniform(1.0, 2.5))
        away_m = 0.55 * (subject.size_m + size_m) + float(rng.uniform(0.2, 0.6))
        x_m = subject.x_m + away_m * float(np.cos(angle))
        y_m = subject.y_m + away_m * float(np.sin(angle))
        things.append(_thing(rng, seed, split, size_m=size_m, x_m=x_m, y_m=y_m))
    return tuple(things)


def _motion(rng: np.random.Generator, view: View) -> Motion:
    kind = choice(rng, tuple(MOTIONS))
    tempo, delay, heading = rng.uniform(size=3).tolist()
    facing = kind in ("approach", "recede")
    return Motion(
        kind=kind,
        tempo=tempo,
        delay_s=delay * MOST_DELAY_S,
        heading_rad=view.azimuth_rad if facing else heading * 2 * np.pi,
    )


def _view(rng: np.random.Generator) -> View:
    return View(
        azimuth_rad=float(rng.uniform(0, 2 * np.pi)),
        elevation_rad=float(np.deg2rad(rng.uniform(6, 32))),
        distance_m=float(rng.uniform(3.6, 5.2)),
        off_x_m=float(rng.uniform(-0.35, 0.35)),
        off_z_m=float(rng.uniform(-0.2, 0.3)),
        view_deg=float(rng.uniform(42, 50)),
    )


def _sun(rng: np.random.Generator) -> Sun:
    return Sun(
        azimuth_rad=float(np.deg2rad(rng.uniform(-120, 120))),
        elevation_rad=float(np.deg2rad(rng.uniform(25, 65))),
        warmth=float(rng.uniform(-1, 1)),
        ambient=float(rng.uniform(0.3, 0.55)),
    )


def _room(rng: np.random.Generator) -> Room:
    half_x_m, half_y_m = rng.uniform(9, 15, size=2).tolist()
    return Room(
        half_x_m=half_x_m,
        half_y_m=half_y_m,
        height_m=float(rng.uniform(6.5, 9)),
        wall=choice(rng, WALLS),
        wall_step_m=float(rng.uniform(0.9, 2)),
        wall_colours=_two_shades(rng),
        floor=choice(rng, FLOORS),
        floor_step_m=float(rng.uniform(0.7, 1.6)),
        floor_colours=_two_shades(rng),
        clutter=int(rng.integers(CLUTTER[0], CLUTTER[1] + 1)),
    )


def _two_shades(
    rng: np.random.Generator,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Of a dull colour, so that a pattern is plain to see and things before it plainer."""
    hue, share, brightness, apart, other = rng.uniform(size=5).tolist()
    first = 0.3 + 0.5 * brightness
    contrast = 0.16 + 0.16 * apart
    second = first - contrast if first > 0.55 else first + contrast
    return (hue, 0.45 * share, first), (hue + 0.2 * (other - 0.5), 0.45 * share, second)


def as_row(scene: Scene) -> dict[str, Any]:
    """One flat record: the scene, its subject, then the other objects as `other_1_…`."""
    row: dict[str, Any] = {
        "scene": scene.number,
        "name": place_of(scene.number, scene.subject.shape.family).name,
        "split": scene.split,
        "paired": len(senses_of(scene.number)) > 1,
        "num_objects": 1 + len(scene.others),
        **_thing_row(scene.subject),
        "motion": scene.motion.kind,
        **{k: v for k, v in asdict(scene.motion).items() if k != "kind"},
    }
    for prefix, part in (("camera", scene.view), ("light", scene.sun), ("room", scene.room)):
        for key, value in asdict(part).items():
            row |= _flat(key if key in ("wall", "floor", "clutter") else f"{prefix}_{key}", value)
    for number in range(MOST_OBJECTS - 1):
        there = number < len(scene.others)
        # Of an object that is not there every cell is empty.
        cells = _thing_row(scene.others[number] if there else scene.subject)
        row |= {f"other_{number + 1}_{k}": v if there else None for k, v in cells.items()}
    return row


def _thing_row(thing: Thing) -> dict[str, Any]:
    row: dict[str, Any] = {
        "family": thing.shape.family,
        "instance": thing.shape.number,
        "slender": thing.shape.slender,
        "thick": thing.shape.thick,
        "taper": thing.shape.taper,
    }
    for key, value in asdict(thing).items():
        if key != "shape":
            row |= _flat(key, value)
    return row


def _flat(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, tuple):
        return {key: value}
    return {k: v for i, part in enumerate(value) for k, v in _flat(f"{key}_{i + 1}", part).items()}
