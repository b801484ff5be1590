"""Triangle meshes: reading OFF, OBJ, PLY and STL, and points on their surface."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modalities.points.open3d_part import has_open3d, load_open3d, quiet
from omnimask.data.point_files import (
    COLOR,
    NORMAL,
    PLACE,
    Table,
    check_corners,
    fans,
    finite_rows,
    named,
    plain_text_mesh,
    read_bytes,
    read_ply,
    stack,
)
from omnimask.foundation.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Mesh:
    """Vertices by column and triangles (t, 3) of vertex numbers."""

    vertices: Table
    triangles: np.ndarray


def read_off(path: Path) -> Mesh:
    """OFF; the counts may stand in the first line, "OFF490 518 0", as in a part of ModelNet40.

    Not by Open3D, which is slower (tools/bench_readers.py), hands back the first part of a file
    that is cut off as if it were whole, and refuses "OFF490 518 0".
    """
    lines = [line for line in read_bytes(path).splitlines() if line.split(b"#")[0].strip()]
    if not lines or not lines[0].strip().startswith(b"OFF"):
        raise DataError(f"{path}: not an OFF file (its first line does not start with OFF)")
    rest = lines[0].split(b"#")[0].strip()[3:]
    lines = [rest, *lines[1:]] if rest.strip() else lines[1:]
    try:
        num_vertices, num_faces = (int(word) for word in lines[0].split()[:2])
        vertices, faces = lines[1 : 1 + num_vertices], lines[1 + num_vertices :][:num_faces]
        if len(vertices) < num_vertices or len(faces) < num_faces:
            raise ValueError(f"it ends before its {num_vertices} vertices and {num_faces} faces do")
        return _mesh(_places(vertices), _off_triangles(faces), path)
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: damaged OFF file: {error}") from error


def _off_triangles(lines: list[bytes]) -> np.ndarray:
    counts_first = _integers(lines, usecols=(0, 1, 2, 3))
    if counts_first is not None and (counts_first[:, 0] == 3).all():
        return counts_first[:, 1:]
    return fans([_polygon(line) for line in lines])


def _polygon(line: bytes) -> list[int]:
    words = line.split()
    corners = [int(word) for word in words[1 : 1 + int(words[0])]]
    if len(corners) < int(words[0]):
        raise ValueError(f"face {line.decode(errors='replace')!r} has too few corners")
    return corners


def read_obj(path: Path) -> Mesh:
    """OBJ: `v` and `f` lines, polygons of any size, negative numbers; the rest is skipped.

    Not by Open3D, which is a tenth faster (tools/bench_readers.py) and leaves out, without a word,
    every face with more than three corners.
    """
    lines = read_bytes(path).splitlines()
    vertices = [line for line in lines if line.split(None, 1)[:1] == [b"v"]]
    faces = [line for line in lines if line.split(None, 1)[:1] == [b"f"]]
    try:
        places = _places([line.split(None, 1)[1] for line in vertices])
        return _mesh(places, _obj_triangles(faces, lines), path)
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: damaged OBJ file: {error}") from error


def _obj_triangles(faces: list[bytes], lines: list[bytes]) -> np.ndarray:
    # A corner is vertex/texture/normal.
    corners = re.sub(rb"/\S*", b"", b"\n".join(line.split(None, 1)[1] for line in faces))
    triangles = _integers(corners.splitlines())
    if triangles is not None and triangles.shape[1] == 3 and triangles.min() > 0:
        return triangles - 1
    return fans(_obj_polygons(lines))


def _obj_polygons(lines: list[bytes]) -> list[list[int]]:
    """A number below zero counts back from the vertex that stands last before the face."""
    num_vertices, polygons = 0, []
    for line in lines:
        words = line.split()
        if words[:1] == [b"v"]:
            num_vertices += 1
        elif words[:1] == [b"f"]:
            ids = [int(word.split(b"/")[0]) for word in words[1:]]
            polygons.append([i - 1 if i > 0 else num_vertices + i for i in ids])
    return polygons


def read_ply_mesh(path: Path) -> Mesh | Table:
    """PLY, a table of points where it has no faces.

    Text of plain triangles by Open3D, several times as fast as NumPy. Everything else by NumPy:
    binary files (ten times as fast as Open3D), polygons, columns that Open3D would drop, and
    faults, which it names. The measurement: tools/bench_readers.py.
    """
    counts = plain_text_mesh(path)
    mesh = _plain_mesh(path, *counts) if counts and counts[1] and has_open3d() else None
    if mesh is not None:
        return mesh
    vertices, triangles = read_ply(path)
    return Mesh(vertices=vertices, triangles=triangles) if len(triangles) else vertices


def _plain_mesh(path: Path, num_vertices: int, num_triangles: int) -> Mesh | None:
    """None where Open3D finds other counts than these, or a corner that does not exist.

    Its tensor reader gives nothing of a damaged file, where the older one gives the first part.
    """
    open3d = load_open3d(path)
    with quiet(open3d):
        found = open3d.t.io.read_triangle_mesh(str(path))
    if "positions" not in found.vertex or "indices" not in found.triangle:
        return None
    triangles = found.triangle.indices.numpy().astype(np.int64)
    if (len(found.vertex.positions), len(triangles)) != (num_vertices, num_triangles):
        return None
    if triangles.min() < 0 or triangles.max() >= num_vertices:
        return None
    columns: Table = {}
    for block, names in (("positions", PLACE), ("normals", NORMAL), ("colors", COLOR)):
        if block in found.vertex:
            columns |= dict(zip(names, found.vertex[block].numpy().T))
    return Mesh(vertices=named(columns, path), triangles=triangles)


def read_stl(path: Path) -> Mesh:
    """STL, text or binary, by Open3D, which returns an empty mesh for whatever it cannot read."""
    open3d = load_open3d(path)
    read_bytes(path)
    with quiet(open3d):
        mesh = open3d.io.read_triangle_mesh(str(path))
    return _mesh(np.asarray(mesh.vertices), np.asarray(mesh.triangles), path)


def _places(lines: list[bytes]) -> np.ndarray:
    """(lines, 3) float64 from the first three numbers of each line."""
    return np.loadtxt(lines, usecols=(0, 1, 2), ndmin=2) if lines else np.zeros((0, 3))


def _integers(lines: list[bytes], usecols: tuple[int, ...] | None = None) -> np.ndarray | None:
    """None where the lines are not rows of one length, or of other things than whole numbers."""
    try:
        return np.loadtxt(lines, dtype=np.int64, usecols=usecols, ndmin=2) if lines else None
    except ValueError:
        return None


def _mesh(places: np.ndarray, triangles: np.ndarray, path: Path) -> Mesh:
    if not len(places) or not len(triangles):
        raise DataError(
            f"{path}: no surface was found in the file ({len(places)} vertices, {len(triangles)} "
            "triangles); it is damaged or of another format, or export a cloud as .ply or .xyz"
        )
    check_corners(triangles, len(places), path)
    table = named({name: places[:, i] for i, name in enumerate(PLACE)}, path)
    return Mesh(vertices=table, triangles=triangles.astype(np.int64))


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
