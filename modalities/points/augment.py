"""Normalising and augmenting one cloud, in NumPy."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """Points with z up, and their unit normals where they are asked for."""

    xyz: Float[np.ndarray, "p 3"]
    normals: Float[np.ndarray, "p 3"] | None = None

    def moved(self, matrix: Float[np.ndarray, "3 3"]) -> "Cloud":
        """Through an invertible linear map; normals go through its inverse transpose."""
        normals = self.normals
        if normals is not None:
            normals = normals @ np.linalg.inv(matrix).astype(np.float32)
            normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return Cloud(xyz=self.xyz @ matrix.T.astype(np.float32), normals=normals)


def upright(cloud: Cloud, up_axis: str) -> Cloud:
    """Turned so that what was up in the file is z."""
    turns = {
        "x": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        "y": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        "z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    }
    return cloud if up_axis == "z" else cloud.moved(np.array(turns[up_axis], dtype=np.float32))


def in_unit_sphere(xyz: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 3"]:
    """Centred at the mean and divided by the largest distance from it; as it is if that is zero."""
    centered = xyz - xyz.mean(axis=0, dtype=np.float64)
    radius = np.linalg.norm(centered, axis=1).max()
    return (centered / (radius if radius > 0 else 1.0)).astype(np.float32)


def rotation(kind: str, generator: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """A random rotation: "up" about z, "any" evenly over all rotations.

    The latter by a random unit quaternion, Shoemake, Graphics Gems III (1992), "Uniform random
    rotations".
    """
    if kind == "up":
        angle = generator.uniform(0.0, 2.0 * np.pi)
        cos, sin = np.cos(angle), np.sin(angle)
        return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    w, x, y, z = (vector := generator.normal(size=4)) / np.linalg.norm(vector)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
