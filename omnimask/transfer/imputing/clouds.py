"""Clouds of points with a hidden part: what is kept, what is added, and the PLY file of both."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from omnimask.foundation.errors import DataError, RecipeError
from omnimask.transfer.imputing.request import Request


def in_box(xyz: Float[np.ndarray, "p 3"], box: Sequence[float]) -> Bool[np.ndarray, " p"]:
    """Which points lie between two corners (x, y, z, x, y, z)."""
    if len(box) != 6 or not all(low < high for low, high in zip(box[:3], box[3:])):
        raise RecipeError(
            f"--hide-box takes X,Y,Z,X,Y,Z, the lower corner first, in the file's units, got {box}"
        )
    inside = (xyz >= np.array(box[:3])) & (xyz <= np.array(box[3:]))
    return np.asarray(inside.all(axis=1))


def check_ply(request: Request) -> None:
    if request.out.suffix.lower() != ".ply":
        raise DataError(f"{request.out}: an imputed cloud is written as PLY; end the name in .ply")


def check_box(hidden: Bool[np.ndarray, " p"], xyz: Float[np.ndarray, "p 3"], path: Path) -> None:
    """DataError where a box holds no point."""
    if not hidden.any():
        low, high = xyz.min(axis=0).round(3).tolist(), xyz.max(axis=0).round(3).tolist()
        raise DataError(f"{path}: no point lies in --hide-box; they span {low} to {high}")


def write_ply(
    path: Path, kept: Float[np.ndarray, "p 3"], predicted: Float[np.ndarray, "q 3"]
) -> None:
    """Binary, with x, y, z as float32 and `predicted`: 1 for points that the model added."""
    rows = np.zeros(
        len(kept) + len(predicted),
        dtype=[("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("predicted", "u1")],
    )
    for axis, name in enumerate("xyz"):
        rows[name] = np.concatenate([kept[:, axis], predicted[:, axis]])
    rows["predicted"][len(kept) :] = 1
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment completed by omnimask\n"
        f"element vertex {len(rows)}\nproperty float x\nproperty float y\nproperty float z\n"
        "property uchar predicted\nend_header\n"
    )
    path.write_bytes(header.encode("ascii") + rows.tobytes())
