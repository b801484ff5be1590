"""The table row of a scene: what somebody measured of its subject, with noise, gaps and clutter.

No column is a factor: density is mass by volume, a colour is a reading under a lamp, a motion shows
in speeds and counts. Some columns say nothing at all.
"""

from datetime import date, timedelta
from typing import Any

import numpy as np

from omnimask.sample_data.meshes import triangle_areas
from omnimask.sample_data.world.clip import poses_of
from omnimask.sample_data.world.factors import Scene
from omnimask.sample_data.world.motion import NUM_FRAMES, frame_times_s, moves
from omnimask.sample_data.world.randomness import choice
from omnimask.sample_data.world.shapes import mesh_of, volume
from omnimask.sample_data.world.sound import modes_of
from omnimask.sample_data.world.stage import Stage

LABEL = "target"
NAME = "sample_name"
_OPERATORS = ("ann", "bob", "cem", "dee", "eva")
_STATIONS = ("n1", "n2", "s1", "s2", "s3", "w1")
_FINISHES = ("dull", "rough", "satin", "shiny")
_FINISH_OF = {
    "ceramic": "satin",
    "glass": "shiny",
    "metal": "shiny",
    "plastic": "satin",
    "rubber": "dull",
    "stone": "rough",
    "wood": "dull",
}
_WRONG_FINISH = 0.5
_FIRST_DAY = date(2024, 1, 1)
_GAPS = (0.03, 0.12)
"""The least and the greatest share of cells that are missing from a column."""


def observe(stage: Stage, name: str) -> dict[str, Any]:
    """A cell is a number, a text, a truth value, a date or None."""
    scene = stage.scene
    rng = scene.generator("row")
    cells = {**_body(stage, rng), **_look(stage, rng), **_ringing(scene, rng)}
    cells |= {**_moving(stage, rng), **_irrelevant(rng)}
    shares = np.linspace(*_GAPS, len(cells))
    gone = rng.uniform(size=len(cells)) < shares
    # One of the operators has no ear for it: a gap that another column explains.
    deaf = cells["operator"] == "bob" and rng.uniform() < 0.5
    kept: dict[str, Any] = {NAME: name}
    for (column, cell), missing in zip(cells.items(), gone, strict=True):
        lost = missing or (deaf and column == "pitch_hz")
        kept[column] = None if lost else cell
    return {**kept, LABEL: scene.subject.shape.family}


def _noisy(value: float, rng: np.random.Generator, share: float) -> float:
    """Off by a factor, in four digits."""
    return float(f"{value * np.exp(rng.normal(0, share)):.4g}")


def _body(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    """Edges of the box around it as it stands, in the order of its own axes."""
    body = stage.bodies[0]
    thing, mesh = body.thing, mesh_of(body.thing.shape)
    edges = np.ptp(body.corners, axis=0)
    width_m, depth_m, height_m = edges if thing.pose == "upright" else edges[[0, 2, 1]]
    litres = 1000 * volume(mesh) * thing.size_m**3
    # Of the surface, by area; above the lowest point of the upright object.
    corners = mesh.vertices[mesh.triangles][:, :, 2].mean(axis=1)
    areas = triangle_areas(mesh)
    middle = float(np.average(corners, weights=areas) - mesh.vertices[:, 2].min())
    return {
        "width_m": _noisy(width_m, rng, 0.03),
        "depth_m": _noisy(depth_m, rng, 0.03),
        "height_m": _noisy(height_m, rng, 0.03),
        "mass_kg": _noisy(litres / 1000 * body.material.density, rng, 0.06),
        "displaced_l": _noisy(litres, rng, 0.06),
        "paint_m2": _noisy(areas.sum() * thing.size_m**2, rng, 0.04),
        "balance_m": _noisy(middle * thing.size_m, rng, 0.04),
        "neighbours": int(rng.binomial(4, (len(stage.bodies) - 1 + 0.15) / 3)),
    }


def _look(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    """A colorimeter under a lamp of any strength and warmth, and what the eye says."""
    body = stage.bodies[0]
    share = rng.uniform(0.1, 0.4)  # of the second colour in the spot
    share *= body.thing.pattern != "plain"
    reading = (1 - share) * body.paint.first + share * body.paint.second
    warm = rng.normal(0, 0.1)
    reading = reading * rng.uniform(40, 200) * np.array([1 + warm, 1, 1 - warm])
    right = rng.uniform() > _WRONG_FINISH
    finish = _FINISH_OF[body.thing.material] if right else choice(rng, _FINISHES)
    gloss = 5 + 90 * body.material.specular
    names = ("red", "green", "blue")
    return {
        **{name: _noisy(x, rng, 0.05) for name, x in zip(names, reading.tolist(), strict=True)},
        "gloss": _noisy(gloss, rng, 0.6),
        "finish": finish,
    }


def _ringing(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    """Knocked once: the pitch, sometimes an octave off, and how long it rings."""
    pitches_hz, losses, _ = modes_of(scene)
    octave = 2.0 ** int(rng.choice([-1, 0, 1], p=[0.08, 0.84, 0.08]))
    return {
        "pitch_hz": _noisy(pitches_hz[0] * octave, rng, 0.05),
        "ring_s": _noisy(6.9 / losses[0], rng, 0.4),
    }


def _moving(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    """Seen by a tracker, frame by frame."""
    places = np.stack([pose.centre for pose in poses_of(stage)])
    places += rng.normal(0, 0.02, size=places.shape)
    steps = np.diff(places, axis=0)
    found = moves(stage.scene.motion, frame_times_s())
    knocks = sum(0 <= at_s < NUM_FRAMES / 10 for at_s, _ in found.impacts)
    turned = np.ptp(np.unwrap(found.yaw)) + 0.5 * np.ptp(found.pitch)
    return {
        "path_m": _noisy(float(np.linalg.norm(steps, axis=1).sum()), rng, 0.15),
        "span_m": _noisy(float(np.ptp(places[:, :2], axis=0).max()), rng, 0.15),
        "lift_m": _noisy(float(np.ptp(places[:, 2])), rng, 0.15),
        "turned_deg": round(float(np.rad2deg(turned) + rng.normal(0, 30)), 1),
        "knocks": int(rng.poisson(0.6) + rng.binomial(knocks, 0.8)),
    }


def _irrelevant(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "operator": choice(rng, _OPERATORS),
        "station": choice(rng, _STATIONS),
        "humidity": round(float(rng.uniform(20, 80)), 1),
        "measured_on": (_FIRST_DAY + timedelta(days=int(rng.integers(365)))).isoformat(),
        "shelf": int(rng.integers(1, 60)),
        "checked": bool(rng.uniform() < 0.7),
    }
