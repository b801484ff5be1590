"""Points: objects sampled at their surface, as point clouds and meshes in eight formats."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from omnimask.sample_data.files import FileJob, labelled_jobs
from omnimask.sample_data.meshes import Mesh, joined, sampled, triangle_normals
from omnimask.sample_data.shapes import SHAPES

_SUFFIXES = (
    ".ply",
    ".npy",
    ".pcd",
    ".ply",
    ".npy",
    ".obj",
    ".xyz",
    ".npz",
    ".ply",
    ".off",
    ".npy",
    ".stl",
)
_MESH_SUFFIXES = (".obj", ".off", ".stl")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    points: Float32[np.ndarray, "points 3"]
    normals: Float32[np.ndarray, "points 3"]
    colors: UInt8[np.ndarray, "points 3"]


ABOUT = """
Made. Twelve kinds of object with random proportions, size, place and turn about the up axis
(z). Clouds of 2048 points (some of 1024 or 300), noisy, half of them with one end missing: PLY
(binary with normals and colours, or ASCII), PCD, XYZ, NPY (n × 3), NPZ (`points`, some with
`normals` and `colors`); meshes as OBJ, OFF and STL."""


def jobs(scale: float) -> list[FileJob]:
    return labelled_jobs(
        "points", tuple(SHAPES), num_train=30, num_held_out=10, suffixes=_SUFFIXES, scale=scale
    )


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    mesh = joined([SHAPES[job.label](rng).scaled(*rng.uniform(0.85, 1.15, size=3))])
    mesh = mesh.turned(rng.uniform(0, 2 * np.pi))
    size = float(np.exp(rng.uniform(np.log(0.3), np.log(3))))
    x, y, z = rng.uniform(-1, 1, size=3)
    mesh = mesh.scaled(size, size, size).moved(x, y, z)
    path = root / job.path
    if job.suffix in _MESH_SUFFIXES:
        _write_mesh(path, mesh)
        return
    num_points = {4: 1024, 9: 300}.get(job.index % 10, 2048)
    _write_cloud(path, _cloud(mesh, num_points, size, rng), full=job.index % 2 == 0)


def _cloud(mesh: Mesh, num_points: int, size: float, rng: np.random.Generator) -> Cloud:
    """Noisy samples; from half of the objects one end is missing, as behind something else."""
    points, normals = sampled(mesh, 2 * num_points, rng)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    depth = points @ direction
    hidden_share = rng.uniform(0.05, 0.2) if rng.uniform() < 0.5 else 0.0
    chosen = np.flatnonzero(depth <= np.quantile(depth, 1 - hidden_share))[:num_points]
    points, normals = points[chosen], normals[chosen]
    light = np.array([0.4, 0.3, 0.86])
    shade = 0.35 + 0.65 * np.clip(normals @ light, 0, 1)
    paint = rng.uniform(0.2, 1.0, size=3) * rng.uniform(0.9, 1.1, size=(len(points), 1))
    noise = rng.normal(0, rng.uniform(0.003, 0.012) * size, size=points.shape)
    return Cloud(
        points=(points + noise).astype(np.float32),
        normals=normals,
        colors=np.round(255 * np.clip(shade[:, None] * paint, 0, 1)).astype(np.uint8),
    )


def _write_cloud(path: Path, cloud: Cloud, *, full: bool) -> None:
    """`full` adds colours and normals where the format can hold them."""
    if path.suffix == ".npy":
        np.save(path, cloud.points)
    elif path.suffix == ".npz" and full:
        np.savez(path, points=cloud.points, normals=cloud.normals, colors=cloud.colors)
    elif path.suffix == ".npz":
        np.savez(path, points=cloud.points)
    elif path.suffix == ".xyz":
        np.savetxt(path, cloud.points, fmt="%.4f")
    else:
        _write_with_open3d(path, cloud, full=full)


def _write_with_open3d(path: Path, cloud: Cloud, *, full: bool) -> None:
    import open3d as o3d

    # The tensor interface keeps fp32; the older one writes doubles.
    tensors = o3d.t.geometry.PointCloud(o3d.core.Tensor.from_numpy(cloud.points))
    if full:
        tensors.point.normals = o3d.core.Tensor.from_numpy(cloud.normals)
        tensors.point.colors = o3d.core.Tensor.from_numpy(cloud.colors)
    ascii_text = path.suffix == ".ply" and not full
    done = o3d.t.io.write_point_cloud(path, tensors, write_ascii=ascii_text)
    assert done, f"open3d could not write {path}"


def _write_mesh(path: Path, mesh: Mesh) -> None:
    if path.suffix == ".stl":
        record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
        facets = np.zeros(len(mesh.triangles), dtype=record)
        facets["normal"] = triangle_normals(mesh)
        facets["corners"] = mesh.vertices[mesh.triangles]
        count = np.uint32(len(facets)).astype("<u4").tobytes()
        path.write_bytes(b"\0" * 80 + count + facets.tobytes())
        return
    corners = [f"{x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.vertices]
    if path.suffix == ".off":
        lines = ["OFF", f"{len(corners)} {len(mesh.triangles)} 0", *corners]
        lines += [f"3 {a} {b} {c}" for a, b, c in mesh.triangles]
    else:
        lines = [f"v {corner}" for corner in corners]
        lines += [f"f {a} {b} {c}" for a, b, c in mesh.triangles + 1]
    path.write_text("\n".join(lines) + "\n", newline="\n")
