"""Parts: objects made of named parts, as clouds that say of each point which part it is on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from omnimask.sample_data.files import FileJob, labelled_jobs
from omnimask.sample_data.meshes import joined, sampled, triangle_areas
from omnimask.sample_data.shapes import Parts, chair_parts, mug_parts, table_parts

NAMES = (
    *("chair/arm", "chair/back", "chair/leg", "chair/seat"),
    *("mug/cup", "mug/handle", "table/leg", "table/top"),
)
"""The parts in the order of their ids."""

NUM_POINTS = 1024
_KINDS: dict[str, Callable[[np.random.Generator], Parts]] = {
    "chair": chair_parts,
    "mug": mug_parts,
    "table": table_parts,
}


ABOUT = f"""
Made. Three kinds of object of `points` as clouds of 1024 points with the part of each: binary PLY
with a property `part`, the number of one of:
{", ".join(f"{number} {name}" for number, name in enumerate(NAMES))}."""


def jobs(scale: float) -> list[FileJob]:
    return labelled_jobs(
        "parts", tuple(_KINDS), num_train=40, num_held_out=16, suffixes=(".ply",), scale=scale
    )


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    """Turned about z, of any size and place, with a little noise."""
    points, ids = _labelled_points(job.label, _KINDS[job.label](rng), rng)
    turn, size = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(0.3), np.log(3)))
    cosine, sine = np.cos(turn), np.sin(turn)
    points = points @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]]) * size
    points += rng.uniform(-1, 1, size=3) + rng.normal(0, 0.005 * size, size=points.shape)
    _write_ply(root / job.path, points, ids)


def _labelled_points(
    kind: str, parts: Parts, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "points 3"], UInt8[np.ndarray, " points"]]:
    """Even over the surface of the whole, in random order."""
    meshes = [joined([mesh]) for _, mesh in parts]
    areas = np.array([triangle_areas(mesh).sum() for mesh in meshes])
    counts = rng.multinomial(NUM_POINTS, areas / areas.sum())
    points = [sampled(mesh, count, rng)[0] for mesh, count in zip(meshes, counts, strict=True)]
    ids = [NAMES.index(f"{kind}/{name}") for name, _ in parts]
    order = rng.permutation(NUM_POINTS)
    return np.concatenate(points)[order], np.repeat(ids, counts).astype(np.uint8)[order]


def _write_ply(
    path: Path, points: Float64[np.ndarray, "points 3"], ids: UInt8[np.ndarray, " points"]
) -> None:
    rows = np.zeros(len(points), dtype=[("xyz", "<f4", 3), ("part", "u1")])
    rows["xyz"], rows["part"] = points, ids
    properties = [*(f"property float {axis}" for axis in "xyz"), "property uchar part"]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    text = "\n".join([*header, *properties, "end_header"]) + "\n"
    path.write_bytes(text.encode() + rows.tobytes())
