"""Triangle meshes from a few primitives; shapes and LiDAR scenes are put together from them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64


@dataclass(frozen=True, kw_only=True, slots=True)
class Mesh:
    """Triangles as three vertex numbers each, counter-clockwise seen from outside; z is up."""

    vertices: Float64[np.ndarray, "vertices 3"]
    triangles: Int64[np.ndarray, "triangles 3"]

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Mesh":
        return Mesh(vertices=self.vertices + np.array([x, y, z]), triangles=self.triangles)

    def scaled(self, x: float, y: float, z: float) -> "Mesh":
        return Mesh(vertices=self.vertices * np.array([x, y, z]), triangles=self.triangles)

    def turned(self, yaw_rad: float) -> "Mesh":
        """Turned about the z axis."""
        cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
        turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        return Mesh(vertices=self.vertices @ turn, triangles=self.triangles)


def joined(meshes: Iterable[Mesh]) -> Mesh:
    """All parts as one mesh, without triangles that have no area."""
    vertices, triangles, start = [], [], 0
    for mesh in meshes:
        vertices.append(mesh.vertices)
        triangles.append(mesh.triangles + start)
        start += len(mesh.vertices)
    whole = Mesh(vertices=np.concatenate(vertices), triangles=np.concatenate(triangles))
    return Mesh(vertices=whole.vertices, triangles=whole.triangles[triangle_areas(whole) > 1e-9])


def box(width: float, depth: float, height: float) -> Mesh:
    """Centred in x and y, standing on z = 0."""
    corners = np.array([[x, y, z] for z in (0, 1) for y in (-0.5, 0.5) for x in (-0.5, 0.5)])
    faces = [
        (0, 2, 3, 1),
        (4, 5, 7, 6),
        (0, 1, 5, 4),
        (2, 6, 7, 3),
        (0, 4, 6, 2),
        (1, 3, 7, 5),
    ]
    triangles = [t for a, b, c, d in faces for t in ((a, b, c), (a, c, d))]
    return Mesh(vertices=corners * (width, depth, height), triangles=np.array(triangles))


def _strip(rows: int, columns: int, *, rows_close: bool) -> Int64[np.ndarray, "triangles 3"]:
    """The triangles of a grid of vertices whose columns close into a ring."""
    row = np.arange(rows if rows_close else rows - 1)[:, None]
    column = np.arange(columns)[None]
    following, right = (row + 1) % rows, (column + 1) % columns
    a, b = row * columns + column, row * columns + right
    c, d = following * columns + right, following * columns + column
    quads = np.stack(np.broadcast_arrays(a, b, c, d), axis=-1).reshape(-1, 4)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def revolved(profile: Iterable[tuple[float, float]], segments: int = 24) -> Mesh:
    """The surface swept by (radius, z) points, from bottom to top, about the z axis."""
    radius, z = np.array(list(profile), dtype=float).T
    angle = np.arange(segments) * 2 * np.pi / segments
    x, y = radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle)
    vertices = np.stack(np.broadcast_arrays(x, y, z[:, None]), axis=-1).reshape(-1, 3)
    return Mesh(vertices=vertices, triangles=_strip(len(z), segments, rows_close=False))


def cylinder(radius: float, height: float, segments: int = 24) -> Mesh:
    """Standing on z = 0, closed."""
    return revolved([(0, 0), (radius, 0), (radius, height), (0, height)], segments)


def sphere(radius: float, segments: int = 20) -> Mesh:
    """Centred in the origin."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    return revolved(zip(radius * np.cos(angle), radius * np.sin(angle), strict=True), segments)


def tube(
    curve: Float64[np.ndarray, "points 3"],
    radius: float,
    *,
    axis: tuple[float, float, float],
    closed: bool = False,
    segments: int = 12,
) -> Mesh:
    """A round tube along a curve that is nowhere parallel to `axis`."""
    if closed:
        tangent = np.roll(curve, -1, axis=0) - np.roll(curve, 1, axis=0)
    else:
        tangent = np.gradient(curve, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.cross(tangent, np.array(axis))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(tangent, side)
    angle = np.arange(segments) * 2 * np.pi / segments
    ring = side[:, None] * np.cos(angle)[:, None] + other[:, None] * np.sin(angle)[:, None]
    vertices = (curve[:, None] + radius * ring).reshape(-1, 3)
    return Mesh(vertices=vertices, triangles=_strip(len(curve), segments, rows_close=closed))


def _edge_product(mesh: Mesh) -> Float64[np.ndarray, "triangles 3"]:
    a, b, c = (mesh.vertices[mesh.triangles[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def triangle_areas(mesh: Mesh) -> Float64[np.ndarray, " triangles"]:
    return np.linalg.norm(_edge_product(mesh), axis=1) / 2


def triangle_normals(mesh: Mesh) -> Float64[np.ndarray, "triangles 3"]:
    """Unit normals, outwards; the mesh has no triangle without area."""
    product = _edge_product(mesh)
    return product / np.linalg.norm(product, axis=1, keepdims=True)


def sampled(
    mesh: Mesh, num_points: int, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "points 3"], Float32[np.ndarray, "points 3"]]:
    """Points spread evenly over the surface, and their normals."""
    areas = triangle_areas(mesh)
    chosen = rng.choice(len(areas), size=num_points, p=areas / areas.sum())
    share = rng.uniform(size=(num_points, 2))
    over = share.sum(axis=1) > 1
    share[over] = 1 - share[over]
    a, b, c = (mesh.vertices[mesh.triangles[chosen, i]] for i in range(3))
    points = a + share[:, :1] * (b - a) + share[:, 1:] * (c - a)
    return points, triangle_normals(mesh)[chosen].astype(np.float32)
