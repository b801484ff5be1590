"""Our readers beside the libraries that could do the same: where ours is kept, and how much faster.

    OMP_NUM_THREADS=1 python tools/bench_readers.py --rounds 9

Ours and theirs run in turn, `rounds` times after one warm-up, on files made here. A row is the
median of the library's time over ours, with the smallest and largest of the rounds: above 1, ours
is faster. Needs the extras image, audio and points.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open3d
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modalities.audio import AudioSpectrogram
from modalities.audio.logmel import log_mel
from modalities.image.readers.header import read_header
from modalities.image.readers.with_pillow import opened_with_pillow
from modalities.points.readers.choice import read_points
from modalities.voxels import VoxelGrid
from modalities.voxels.voxelise import voxelise
from omnimask.data.point_files import PLACE
from tools.benchmark.timing import compare

Pair = tuple[str, Callable[[], object], Callable[[], object]]


def image_headers() -> Iterator[Pair]:
    pixels = np.random.default_rng(0).integers(0, 256, (375, 500, 3)).astype(np.uint8)
    for kind in ("JPEG", "PNG", "WEBP"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        data = file.getvalue()
        yield (
            f"size of a {kind}, Pillow",
            repeated(lambda data=data: read_header(data, "")),
            repeated(lambda data=data: opened(data)),
        )


def opened(data: bytes) -> tuple[int, int]:
    with opened_with_pillow(data, Path()) as image:
        return image.size


def repeated(run: Callable[[], object]) -> Callable[[], object]:
    return lambda: [run() for _ in range(200)]


def spectrograms() -> Iterator[Pair]:
    from torchaudio.compliance.kaldi import fbank

    record = AudioSpectrogram()
    settings: dict[str, Any] = {
        "sample_frequency": float(record.sample_rate_hz),
        "window_type": "hanning",
        "num_mel_bins": record.num_mels,
        "htk_compat": True,
        "dither": 0.0,
    }
    for seconds in (1, 10):
        sound = torch.randn(1, seconds * record.sample_rate_hz) * 0.1
        yield (
            f"log-mel of {seconds} s, torchaudio's Kaldi",
            lambda sound=sound: log_mel(sound, record.mel_scale),
            lambda sound=sound: fbank(sound, **settings),
        )


def meshes(folder: Path) -> Iterator[Pair]:
    """A sphere of 45,000 vertices in every format, read with its faces."""
    sphere = open3d.geometry.TriangleMesh.create_sphere(1.0, resolution=150)
    for name in ("text.ply", "binary.ply", "text.off", "text.obj"):
        path = folder / f"mesh-{name}"
        open3d.io.write_triangle_mesh(
            path, sphere, write_ascii=name == "text.ply", write_vertex_normals=False
        )
        yield (
            f"mesh, {name}, Open3D",
            lambda path=path: read_points(path, PLACE),
            lambda path=path: faces(path),
        )


def faces(path: Path) -> tuple[np.ndarray, np.ndarray]:
    mesh = open3d.io.read_triangle_mesh(path)
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.triangles)


def clouds(folder: Path) -> Iterator[Pair]:
    xyz = np.random.default_rng(0).normal(size=(45_000, 3))
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(xyz))
    kinds: dict[str, dict[str, Any]] = {
        "text": {"write_ascii": True},
        "binary": {"write_ascii": False},
        "compressed": {"compressed": True},
    }
    for kind, options in kinds.items():
        for suffix in (".ply", ".pcd") if kind != "compressed" else (".pcd",):
            path = folder / f"cloud-{kind}{suffix}"
            open3d.io.write_point_cloud(path, cloud, **options)
            yield (
                f"cloud, {kind} {suffix}, Open3D",
                lambda path=path: read_points(path, PLACE),
                lambda path=path: np.asarray(open3d.io.read_point_cloud(path).points),
            )


def voxels() -> Iterator[Pair]:
    """Open3D's call that says which points lie in a voxel; its sampling of them is not seeded."""
    rng = np.random.default_rng(0)
    grid = VoxelGrid()
    low, high = np.array(grid.range_m).T
    xyz = rng.uniform(low, high, (100_000, 3)).astype(np.float32)
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(xyz.astype(np.float64)))
    yield (
        "voxels of 100,000 points, Open3D",
        lambda: voxelise(xyz, np.zeros(len(xyz), np.float32), grid, rng),
        lambda: cloud.voxel_down_sample_and_trace(max(grid.voxel_size_m), low, high),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pairs in (image_headers(), spectrograms(), meshes(folder), clouds(folder), voxels()):
            for what, ours, theirs in pairs:
                found = compare(ours, theirs, rounds)
                row = f"{found['ratio']:7.2f} [{found['from']:.2f}, {found['to']:.2f}]"
                print(f"{what:42} {row}", flush=True)


if __name__ == "__main__":
    main()
