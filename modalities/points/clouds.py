"""One file of points or of a surface to a table of points."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from modalities.points.meshes import Mesh, read_obj, read_off, read_ply_mesh, read_stl
from modalities.points.open3d_part import has_open3d, open3d_state
from modalities.points.pytorch3d_part import pytorch3d_state
from omnimask.data.point_files import Table, read_npy, read_npz, read_pcd, read_text
from omnimask.foundation.errors import DataError

_MESHES: dict[str, Callable[[Path], Mesh]] = {".off": read_off, ".obj": read_obj, ".stl": read_stl}
_NAMELESS: dict[str, Callable[[Path, Sequence[str]], Table]] = {
    ".xyz": read_text,
    ".txt": read_text,
    ".npy": read_npy,
    ".npz": read_npz,
}
SUFFIXES = (".ply", ".pcd", ".xyz", ".npy", ".npz", ".off", ".obj", ".stl")


def read_points(path: Path, columns: Sequence[str]) -> Table | Mesh:
    """A table, or a mesh where the file has faces; `columns` name those of nameless formats."""
    suffix = path.suffix.lower()
    if suffix in _NAMELESS:
        return _NAMELESS[suffix](path, columns)
    if suffix in _MESHES:
        return _MESHES[suffix](path)
    if suffix == ".pcd":
        return read_pcd(path)
    if suffix == ".ply":
        return read_ply_mesh(path)
    known = ", ".join((".ply", ".pcd", *_NAMELESS, *_MESHES))
    raise DataError(f"{path}: unknown format {suffix!r}; known: {known}")


def available_readers() -> dict[str, str]:
    """By format, what reads it here, or why nothing does. Imports Open3D, which takes seconds."""
    numpy = f"numpy {np.__version__}"
    readers = dict.fromkeys(SUFFIXES, numpy)
    state = open3d_state()
    text_mesh = {".ply of plain triangles in text": state} if has_open3d() else {}
    return (
        readers
        | text_mesh
        | {".stl": state, "estimated normals": state}
        | {"groups and Chamfer distances on CUDA": pytorch3d_state()}
    )
