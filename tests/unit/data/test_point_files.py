"""Point tables from files; Open3D, NumPy and hand-written bytes are the independent writers."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from omnimask.data.point_files import (
    COLOR,
    NORMAL,
    PLACE,
    finite_rows,
    read_bin,
    read_npy,
    read_npz,
    read_pcd,
    read_ply,
    read_text,
    stack,
)
from omnimask.foundation.errors import DataError

XYZ = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
RGB = np.random.default_rng(1).integers(0, 256, size=(40, 3)).astype(np.uint8)


def written_by_open3d(path: Path, **options: bool) -> Path:
    open3d = importlib.import_module("open3d")
    cloud = open3d.geometry.PointCloud()
    cloud.points = open3d.utility.Vector3dVector(XYZ.astype(np.float64))
    cloud.colors = open3d.utility.Vector3dVector(RGB / 255.0)
    cloud.normals = open3d.utility.Vector3dVector(XYZ[:, ::-1].astype(np.float64))
    assert open3d.io.write_point_cloud(str(path), cloud, **options)
    return path


ENCODINGS = [
    {"write_ascii": True},
    {"write_ascii": False},
    {"write_ascii": False, "compressed": True},
]


@pytest.mark.parametrize("options", ENCODINGS, ids=["text", "binary", "compressed"])
@pytest.mark.parametrize("suffix", [".ply", ".pcd"])
def test_what_open3d_writes(tmp_path: Path, suffix: str, options: dict[str, bool]) -> None:
    path = written_by_open3d(tmp_path / f"cloud{suffix}", **options)
    table = read_pcd(path) if suffix == ".pcd" else read_ply(path)[0]
    np.testing.assert_allclose(stack(table, PLACE), XYZ, atol=1e-5)
    np.testing.assert_allclose(stack(table, COLOR), RGB / 255.0, atol=1e-6)
    np.testing.assert_allclose(stack(table, NORMAL), XYZ[:, ::-1], atol=1e-5)


def test_a_long_repetitive_compressed_pcd(tmp_path: Path) -> None:
    """Long runs make LZF write copies that overlap themselves."""
    open3d = importlib.import_module("open3d")
    rows = np.tile(np.repeat([[1.0, 2, 3], [4, 5, 6]], 700, axis=0), (3, 1))
    rows[::97] += np.arange(len(rows[::97]))[:, None]
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(rows))
    path = tmp_path / "runs.pcd"
    open3d.io.write_point_cloud(str(path), cloud, compressed=True)
    assert path.stat().st_size < rows.size * 4 / 2
    np.testing.assert_array_equal(stack(read_pcd(path), PLACE), rows)


@pytest.mark.parametrize("ascii_text", [True, False], ids=["text", "binary"])
def test_faces_of_a_ply_mesh(tmp_path: Path, ascii_text: bool) -> None:
    open3d = importlib.import_module("open3d")
    mesh = open3d.geometry.TriangleMesh.create_sphere(1.0, resolution=5)
    path = tmp_path / "mesh.ply"
    open3d.io.write_triangle_mesh(str(path), mesh, write_ascii=ascii_text)
    table, triangles = read_ply(path)
    np.testing.assert_array_equal(triangles, np.asarray(mesh.triangles))
    np.testing.assert_allclose(stack(table, PLACE), np.asarray(mesh.vertices), atol=1e-6)


def quads(order: str, counts: list[int]) -> bytes:
    encoding = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    header = (
        f"ply\nformat {encoding} 1.0\ncomment by hand\nelement vertex 5\nproperty double x\n"
        f"property double y\nproperty double z\nelement face {len(counts)}\n"
        "property list uchar int vertex_indices\nproperty uchar quality\nend_header\n"
    )
    body = np.arange(15, dtype=order + "f8").tobytes()
    for count in counts:
        body += bytes([count]) + np.arange(count, dtype=order + "i4").tobytes() + b"\x07"
    return header.encode() + body


@pytest.mark.parametrize("order", ["<", ">"])
def test_polygons_become_fans(tmp_path: Path, order: str) -> None:
    path = tmp_path / "polygons.ply"
    path.write_bytes(quads(order, [3, 5]))
    table, triangles = read_ply(path)
    assert triangles.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3], [0, 3, 4]]
    assert table["z"].tolist() == [2, 5, 8, 11, 14]


@pytest.mark.parametrize("cut", [1, 4, 30, 60])
def test_every_truncation_of_a_ply_is_seen(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.ply"
    path.write_bytes(quads("<", [3, 5])[:-cut])
    with pytest.raises(DataError, match=r"cut\.ply.*truncated"):
        read_ply(path)


def test_every_truncation_of_a_compressed_pcd_is_seen(tmp_path: Path) -> None:
    whole = written_by_open3d(tmp_path / "whole.pcd", compressed=True).read_bytes()
    path = tmp_path / "cut.pcd"
    for cut in (1, 7, 100, 400):
        path.write_bytes(whole[:-cut])
        with pytest.raises(DataError, match=r"cut\.pcd"):
            read_pcd(path)


def test_a_face_must_name_an_existing_vertex(tmp_path: Path) -> None:
    path = tmp_path / "beyond.ply"
    corners = np.arange(3, dtype="<i4").tobytes()
    damaged = np.array([0, 1, 99], dtype="<i4").tobytes()
    path.write_bytes(quads("<", [3]).replace(corners, damaged))
    with pytest.raises(DataError, match=r"beyond\.ply.*vertex 99 of 5"):
        read_ply(path)


def test_pcd_text_with_nan_and_padding(tmp_path: Path) -> None:
    path = tmp_path / "scan.pcd"
    path.write_text(
        "VERSION 0.7\nFIELDS x y z _ intensity\nSIZE 4 4 4 1 4\nTYPE F F F U F\nCOUNT 1 1 1 2 1\n"
        "WIDTH 2\nHEIGHT 1\nPOINTS 2\nDATA ascii\n1 2 3 0 0 0.5\nnan nan nan 0 0 0.25\n"
    )
    table = read_pcd(path)
    assert table["intensity"].tolist() == [0.5, 0.25]
    assert np.isnan(table["x"]).tolist() == [False, True]


def test_bin_columns(tmp_path: Path) -> None:
    rows = np.arange(20, dtype="<f4").reshape(4, 5)
    path = tmp_path / "sweep.bin"
    path.write_bytes(rows.tobytes())
    table = read_bin(path, num_columns=5)
    np.testing.assert_array_equal(stack(table, (*PLACE, "intensity")), rows[:, :4])
    with pytest.raises(DataError, match=r"sweep\.bin.*12 bytes each.*80 bytes, 8 too many"):
        read_bin(path, num_columns=3)


def test_text_with_commas_comments_and_names(tmp_path: Path) -> None:
    path = tmp_path / "cloud.xyz"
    path.write_text("# a comment\n1,2,3,255,0,0\n4, 5, 6, 0, 51, 0\n")
    table = read_text(path, (*PLACE, *COLOR))
    np.testing.assert_allclose(stack(table, COLOR), [[1, 0, 0], [0, 0.2, 0]])


def test_npz_blocks(tmp_path: Path) -> None:
    path = tmp_path / "cloud.npz"
    np.savez(path, points=XYZ, colors=RGB, normals=XYZ, intensity=XYZ[:, :1])
    table = read_npz(path, PLACE)
    np.testing.assert_allclose(stack(table, COLOR), RGB / 255.0, atol=1e-6)
    np.testing.assert_array_equal(table["intensity"], XYZ[:, 0])
    np.savez(path, cloud=XYZ)
    with pytest.raises(DataError, match=r"'xyz' or 'points'.*\['cloud'\]"):
        read_npz(path, PLACE)


def test_npy_must_have_enough_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "cloud.npy", XYZ)
    with pytest.raises(DataError, match=r"at least 6.*\(40, 3\)"):
        read_npy(tmp_path / "cloud.npy", (*PLACE, *NORMAL))


def test_points_that_are_not_finite_are_counted_or_dropped() -> None:
    table = {name: XYZ[:, i].copy() for i, name in enumerate(PLACE)}
    table["x"][3], table["y"][[3, 9]] = np.inf, np.nan
    with pytest.raises(DataError, match=r"scan: 2 of 40 points.*nan='drop'"):
        finite_rows(table, PLACE, Path("scan"), drop=False)
    kept = finite_rows(table, PLACE, Path("scan"), drop=True)
    np.testing.assert_array_equal(stack(kept, PLACE), np.delete(XYZ, [3, 9], axis=0))
    nowhere = {name: np.full(4, np.nan, np.float32) for name in PLACE}
    with pytest.raises(DataError, match="all 4 points"):
        finite_rows(nowhere, PLACE, Path("scan"), drop=True)
