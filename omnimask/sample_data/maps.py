"""Maps: small ray-cast scenes, each as colour, depth and classes that agree pixel by pixel.

A few simple objects stand on the ground before a wall. One job renders one scene and writes its
three files, `maps/<split>/{rgb,depth,semantic}/<main object>/<name>.png`.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped
from PIL import Image

from omnimask.sample_data.files import FileJob, labelled_jobs
from omnimask.sample_data.meshes import Mesh, box
from omnimask.sample_data.rays import Camera, Light, Paint, Rendered, Solid, render
from omnimask.sample_data.shapes import SHAPES

KINDS = ("ball", "bottle", "box", "chair", "cone", "cylinder", "mug", "torus")
CLASSES = ("background", "ground", *KINDS)
"""The class ids of the semantic maps, from 0."""

UNKNOWN = 255
"""In the semantic maps, the pixels of an object that is none of `KINDS`."""

MAPS = ("rgb", "depth", "semantic")
SIDE = 64
_UNLABELLED = ("helix", "octahedron", "stairs")
_UNLABELLED_SHARE = 0.15
_MOST_OTHERS = 3
_EXTENT_M = 60.0


ABOUT = f"""
Made. Small scenes, ray-cast at 64 × 64: a main object, which is the label, up to three smaller
ones, the ground and a wall, in any colour, light and view. Three PNG files of the same relative
name per scene, `maps/<split>/{{rgb,depth,semantic}}/<label>/<file>`: colour; depth along the
viewing direction in millimetres (16-bit grey); class ids (8-bit grey):
{", ".join(f"{number} {name}" for number, name in enumerate(CLASSES))};
255 where an object is of no known kind."""


def jobs(scale: float) -> list[FileJob]:
    """One per scene; `path` is that of its colour picture."""
    scenes = labelled_jobs(
        "maps", KINDS, num_train=30, num_held_out=10, suffixes=[".png"], scale=scale
    )
    return [
        replace(job, path=job.path.replace(f"/{job.split}/", f"/{job.split}/rgb/"))
        for job in scenes
    ]


def map_path(job: FileJob, name: str) -> str:
    """Where one of the `MAPS` of a job's scene lies, relative to the data folder."""
    return job.path.replace(f"/{job.split}/rgb/", f"/{job.split}/{name}/")


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    main = _standing(job.label, rng, size_m=rng.uniform(0.9, 1.4))
    solids = [Solid(mesh=main, class_id=CLASSES.index(job.label), paint=_paint(rng))]
    solids += [_ground(rng), _wall(rng), *_others(rng)]
    rendered = render(solids, _camera(rng, main), _light(rng), side=SIDE)
    for name, pixels in _as_files(rendered).items():
        path = root / map_path(job, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def _as_files(rendered: Rendered) -> dict[str, Shaped[np.ndarray, "h w *c"]]:
    """Colour in 8 bits, depth in whole millimetres in 16 bits, class ids in 8 bits."""
    return {
        "rgb": np.round(rendered.colour * 255).astype(np.uint8),
        "depth": np.round(rendered.depth_m * 1000).astype(np.uint16),
        "semantic": rendered.class_ids.astype(np.uint8),
    }


def _standing(kind: str, rng: np.random.Generator, *, size_m: float) -> Mesh:
    """On the ground in the origin, turned at random, its longest side `size_m`."""
    mesh = SHAPES[kind](rng).turned(rng.uniform(0, 2 * np.pi))
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    factor = size_m / (high - low).max()
    x, y = -(low + high)[:2] / 2
    return mesh.moved(x, y, -low[2]).scaled(factor, factor, factor)


def _others(rng: np.random.Generator) -> list[Solid]:
    """Smaller objects around the main one, each in its own sector, sometimes of no known kind."""
    count = int(rng.integers(0, _MOST_OTHERS + 1))
    first, solids = rng.uniform(0, 2 * np.pi), []
    for number in range(count):
        unlabelled = rng.uniform() < _UNLABELLED_SHARE
        kind = str(rng.choice(_UNLABELLED if unlabelled else KINDS))
        mesh = _standing(kind, rng, size_m=rng.uniform(0.35, 0.8))
        angle = first + (number + rng.uniform(-0.25, 0.25)) * 2 * np.pi / count
        away_m = rng.uniform(1.0, 1.7)
        class_id = UNKNOWN if unlabelled else CLASSES.index(kind)
        placed = mesh.moved(away_m * np.cos(angle), away_m * np.sin(angle))
        solids.append(Solid(mesh=placed, class_id=class_id, paint=_paint(rng)))
    return solids


def _ground(rng: np.random.Generator) -> Solid:
    mesh = box(2 * _EXTENT_M, 2 * _EXTENT_M, 0.2).moved(z=-0.2)
    return Solid(mesh=mesh, class_id=CLASSES.index("ground"), paint=_paint(rng, dull=0.6))


def _wall(rng: np.random.Generator) -> Solid:
    """Behind the objects as the camera sees them, so that every pixel has a depth."""
    wall = box(0.2, 2 * _EXTENT_M, _EXTENT_M).turned(np.deg2rad(rng.uniform(-25, 25)))
    mesh = wall.moved(x=rng.uniform(2.8, 7.0))
    return Solid(mesh=mesh, class_id=CLASSES.index("background"), paint=_paint(rng, dull=0.6))


def _paint(rng: np.random.Generator, *, dull: float = 0.0) -> Paint:
    """Any colour goes with any kind of object; `dull` draws it towards grey."""
    first, second = (_colour(rng, dull=dull) for _ in range(2))
    pattern = rng.choice(["plain", "checks", "stripes"], p=[0.6, 0.2, 0.2])
    return Paint(first=first, second=second, pattern=str(pattern), step_m=rng.uniform(0.12, 0.5))


def _colour(rng: np.random.Generator, *, dull: float) -> Float64[np.ndarray, " rgb"]:
    colour = rng.uniform(0.15, 1.0, size=3)
    return dull * colour.mean() + (1 - dull) * colour


def _camera(rng: np.random.Generator, main: Mesh) -> Camera:
    """Looks along x, down at the main object."""
    elevation, away_m = np.deg2rad(rng.uniform(8, 42)), rng.uniform(2.0, 3.6)
    target = main.vertices.mean(axis=0) + rng.uniform(-0.2, 0.2, size=3)
    back = np.array([-np.cos(elevation), 0.0, np.sin(elevation)])
    return Camera(place=target + away_m * back, target=target, view_deg=rng.uniform(42, 60))


def _light(rng: np.random.Generator) -> Light:
    """From anywhere but behind the wall, warm or cold."""
    azimuth, elevation = rng.uniform(0.6, 1.4) * np.pi, np.deg2rad(rng.uniform(25, 75))
    x, y = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth)
    warm = rng.uniform(-0.15, 0.15)
    return Light(
        direction=np.array([x, y, np.sin(elevation)]),
        colour=rng.uniform(0.8, 1.2) * np.array([1 + warm, 1.0, 1 - warm]),
        ambient=rng.uniform(0.3, 0.55),
    )
