"""What Open3D does: STL files, text PLY of meshes, normals. It imports slowly and prints instead of
raising."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from omnimask.foundation.optional import needs

_FIX = (
    "pip install 'omnimask[points]', and on a bare Linux: "
    "apt-get install libusb-1.0-0 libgl1 libegl1 libx11-6 libgomp1"
)


def load_open3d(path: Path) -> Any:
    """The module; RecipeError naming the file that needs it where it cannot be imported."""
    needs("open3d", extra="points", what=str(path))
    import open3d

    return open3d


def open3d_state() -> str:
    """Open3D's version, or why it is missing and what to do."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        return f"missing: {error}; {_FIX}"
    return f"open3d {open3d.__version__}"


def has_open3d() -> bool:
    """Whether it can be imported; where it cannot, NumPy reads what both can read."""
    return open3d_state().startswith("open3d")


@contextmanager
def quiet(open3d: Any) -> Iterator[None]:
    """Keeps Open3D, and the C libraries in it, from printing what our errors say better."""
    silent = open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error)
    with silent, Path(os.devnull).open("wb") as nowhere:
        stderr = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def estimated_normals(xyz: np.ndarray, path: Path, *, num_neighbours: int = 16) -> np.ndarray:
    """Unit normals (points, 3) of the planes through each point's neighbours.

    Turned away from the middle of the cloud, since a cloud alone does not say which side is out.
    """
    open3d = load_open3d(path)
    cloud = open3d.geometry.PointCloud()
    cloud.points = open3d.utility.Vector3dVector(xyz.astype(np.float64))
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(num_neighbours))
    normals = np.asarray(cloud.normals)
    inward = ((xyz - xyz.mean(axis=0)) * normals).sum(axis=1, keepdims=True) < 0
    return np.where(inward, -normals, normals).astype(np.float32)
