"""Colours of surfaces: two of them in a pattern that is fixed to the object, and a grain."""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

Places = Float32[np.ndarray, "points 3"]
Shares = Float32[np.ndarray, " points"]
_OFF = np.float32(0.137)


@dataclass(frozen=True, kw_only=True, slots=True)
class Paint:
    """`pattern` with a repeat of `step`, in the unit of the places it is asked for."""

    first: Float32[np.ndarray, " rgb"]
    second: Float32[np.ndarray, " rgb"]
    pattern: str
    step: float

    def at(self, places: Places) -> Float32[np.ndarray, "points rgb"]:
        # Off zero, where flat things stand: rounding would mix the two colours there.
        share = _PATTERNS[self.pattern](places / np.float32(self.step) + _OFF)
        return self.first + share[:, None] * (self.second - self.first)


def on_plane(paint: Paint, along: Shares, up: Shares) -> Places:
    """Places of a flat surface, through the middle of a pattern in space."""
    middle = np.full_like(along, (0.5 - _OFF) * paint.step)
    return np.stack([along, middle, up], axis=1)


def rgb(hue: float, saturation: float, brightness: float) -> Float32[np.ndarray, " rgb"]:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, brightness), dtype=np.float32)


def grain(kind: str, depth: float, places: Places) -> Float32[np.ndarray, "points 1"] | float:
    """By how much a material's own texture brightens a place; 1 is not at all.

    `places` in units of the object's size.
    """
    if not depth:
        return 1.0
    return (1 + np.float32(depth) * _GRAINS[kind](places))[:, None]


def _plain(places: Places) -> Shares:
    return np.zeros(len(places), dtype=np.float32)


def _parity(cells: Float32[np.ndarray, "points axes"]) -> Shares:
    return (np.floor(cells).sum(axis=1) % 2).astype(np.float32)


def _checks(places: Places) -> Shares:
    return _parity(places)


def _stripes(places: Places) -> Shares:
    """Bands across the axis."""
    return _parity(np.float32(1.4) * places[:, 2:])


def _dots(places: Places) -> Shares:
    off = places - np.floor(places) - np.float32(0.5)
    return (np.einsum("nc,nc->n", off, off) < 0.16).astype(np.float32)


def _spiral(places: Places) -> Shares:
    turns = np.arctan2(places[:, 1], places[:, 0]) / np.float32(np.pi)
    return _parity((2 * turns + places[:, 2])[:, None])


def _marble(places: Places) -> Shares:
    x, y, z = (np.float32(4.2) * places).T
    swirl = np.sin(0.6 * x + 1.3 * np.sin(0.5 * y + z) + np.sin(1.1 * z - 0.7 * x))
    return (0.5 + 0.5 * swirl).astype(np.float32)


def _bricks(places: Places) -> Shares:
    """Two as long as high, in shifted courses, with joints of the second colour."""
    course = np.floor(2 * places[:, 2])
    along = places[:, 0] + places[:, 1] + np.float32(0.5) * (course % 2)
    joint = (along % 1 < 0.08) | ((2 * places[:, 2]) % 1 < 0.16)
    return joint.astype(np.float32)


_PATTERNS: dict[str, Callable[[Places], Shares]] = {
    "bricks": _bricks,
    "checks": _checks,
    "dots": _dots,
    "marble": _marble,
    "plain": _plain,
    "spiral": _spiral,
    "stripes": _stripes,
}


def _cell_noise(cells: Float32[np.ndarray, "points axes"]) -> Shares:
    """Numbers in [-1, 1], one per cell; of whole numbers alone, so the same everywhere."""
    ids = np.floor(cells).astype(np.int64)
    mixed = np.zeros(len(ids), dtype=np.int64)
    for axis, factor in zip(ids.T, (73856093, 19349663, 83492791)):
        mixed ^= axis * factor
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return ((mixed >> 8) & 0xFFFF).astype(np.float32) / np.float32(32767.5) - 1


def _speckle(places: Places) -> Shares:
    return _cell_noise(places * np.float32(26))


def _rings(places: Places) -> Shares:
    """Those of a trunk whose middle lies beside the object."""
    x, y, z = places.T
    radius = np.hypot(x + np.float32(0.9), 0.35 * y + 0.15 * z)
    return np.sin(np.float32(58) * radius + 1.5 * np.sin(3 * z)).astype(np.float32)


def _brushed(places: Places) -> Shares:
    return _cell_noise(places[:, 2:] * np.float32(60))


_GRAINS: dict[str, Callable[[Places], Shares]] = {
    "brushed": _brushed,
    "rings": _rings,
    "speckle": _speckle,
}
