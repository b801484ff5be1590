"""Triangle meshes: reading OFF, OBJ and STL, and points on their surface."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modalities.points.readers.open3d_part import load_open3d, quiet
from omnimask.data.point_files import (
    COLOR,
    NORMAL,
    PLACE,
    Table,
    finite_rows,
    named,
    read_bytes,
    stack,
)
from omnimask.foundation.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Mesh:
    """Vertices by column and triangles (t, 3) of vertex numbers."""

    vertices: Table
    triangles: np.ndarray


def read_off(path: Path) -> Mesh:
    """OFF; the counts may stand in the first line, "OFF490 518 0", as in a part of ModelNet40."""
    lines = [line.split(b"#")[0] for line in read_bytes(path).splitlines()]
    lines = [line for line in lines if line.strip()]
    if not lines or not lines[0].strip().startswith(b"OFF"):
        raise DataError(f"{path}: not an OFF file (its first line does not start with OFF)")
    rest = lines[0].strip()[3:]
    lines = [rest, *lines[1:]] if rest.strip() else lines[1:]
    try:
        num_vertices, num_faces = (int(word) for word in lines[0].split()[:2])
        vertices = [
            [float(word) for word in line.split()[:3]] for line in lines[1 : 1 + num_vertices]
        ]
        faces = [_polygon(line) for line in lines[1 + num_vertices : 1 + num_vertices + num_faces]]
        if len(vertices) < num_vertices or len(faces) < num_faces:
            raise ValueError(f"it ends before its {num_vertices} vertices and {num_faces} faces do")
        return _mesh(vertices, faces, path)
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: damaged OFF file: {error}") from error


def read_obj(path: Path) -> Mesh:
    """OBJ: `v` and `f` lines, polygons of any size, negative numbers; the rest is skipped."""
    vertices, faces = [], []
    try:
        for line in read_bytes(path).splitlines():
            words = line.split()
            if words[:1] == [b"v"]:
                vertices.append([float(word) for word in words[1:4]])
            elif words[:1] == [b"f"]:
                ids = [int(word.split(b"/")[0]) for word in words[1:]]
                faces.append([i - 1 if i > 0 else len(vertices) + i for i in ids])
        return _mesh(vertices, faces, path)
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: damaged OBJ file: {error}") from error


def read_stl(path: Path) -> Mesh:
    """STL, text or binary, by Open3D, which returns an empty mesh for whatever it cannot read."""
    open3d = load_open3d(path)
    read_bytes(path)
    with quiet(open3d):
        mesh = open3d.io.read_triangle_mesh(str(path))
    return _mesh(np.asarray(mesh.vertices).tolist(), np.asarray(mesh.triangles).tolist(), path)


def _polygon(line: bytes) -> list[int]:
    words = line.split()
    corners = [int(word) for word in words[1 : 1 + int(words[0])]]
    if len(corners) < int(words[0]):
        raise ValueError(f"face {line.decode(errors='replace')!r} has too few corners")
    return corners


def _mesh(vertices: list[list[float]], faces: list[list[int]], path: Path) -> Mesh:
    triangles = [(face[0], face[i], face[i + 1]) for face in faces for i in range(1, len(face) - 1)]
    if not vertices or not triangles:
        raise DataError(
            f"{path}: no surface was found in the file ({len(vertices)} vertices, {len(triangles)} "
            "triangles); it is damaged or of another format, or export a cloud as .ply or .xyz"
        )
    ids = np.array(triangles, dtype=np.int64)
    if ids.min() < 0 or ids.max() >= len(vertices):
        raise DataError(f"{path}: a face names vertex {ids.max()} of {len(vertices)}")
    places = np.array(vertices, dtype=np.float64).reshape(len(vertices), 3)
    table = named({name: places[:, i] for i, name in enumerate(PLACE)}, path)
    return Mesh(vertices=table, triangles=ids)


def sample_surface(
    mesh: Mesh, num_points: int, generator: np.random.Generator, path: Path
) -> Table:
    """Points drawn evenly over the surface, with face normals and blended vertex colours.

    A triangle is drawn by its area, then a place in it. Written in NumPy because Open3D's sampler
    draws from a global random state, so that a sample would depend on what was read before it.
    """
    finite_rows(mesh.vertices, PLACE, path, drop=False)
    corners = stack(mesh.vertices, PLACE).astype(np.float64)[mesh.triangles]
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(crosses, axis=1)  # twice the area
    if not lengths.sum() > 0:
        raise DataError(f"{path}: all {len(lengths)} triangles have an area of zero")
    chosen = generator.choice(len(lengths), num_points, p=lengths / lengths.sum())
    first, second = generator.random((2, num_points))
    root = np.sqrt(first)
    shares = np.stack([1 - root, root * (1 - second), root * second], axis=1)
    table = _columns(PLACE, np.einsum("pc,pca->pa", shares, corners[chosen]))
    table |= _columns(NORMAL, crosses[chosen] / lengths[chosen, None])
    if all(name in mesh.vertices for name in COLOR):
        colors = stack(mesh.vertices, COLOR)[mesh.triangles[chosen]]
        table |= _columns(COLOR, np.einsum("pc,pca->pa", shares, colors))
    return table


def _columns(names: tuple[str, ...], block: np.ndarray) -> Table:
    return {name: block[:, i].astype(np.float32) for i, name in enumerate(names)}
