"""Reading points and meshes: surface sampling, normals, missing returns, augmentation."""

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from modalities.points import (
    PointFiles,
    PointGroups,
    available_readers,
)
from modalities.points.augment import Cloud, in_unit_sphere, rotation, upright
from modalities.points.readers.meshes import (
    Mesh,
    read_obj,
    read_off,
    read_ply_mesh,
    sample_surface,
)
from omnimask.data.point_files import NORMAL, PLACE, stack
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Visit
from tests.modalities.case_points import (
    CUBE,
    CUBE_QUADS,
    ball,
    make_case,
    obj_text,
    off_text,
    ply_text,
)


def test_the_surface_is_sampled_evenly(tmp_path: Path) -> None:
    (tmp_path / "box.obj").write_text(obj_text([(4 * x, y, z) for x, y, z in CUBE], CUBE_QUADS))
    mesh = read_obj(tmp_path / "box.obj")
    table = sample_surface(mesh, 9000, np.random.default_rng(0), tmp_path / "box.obj")
    xyz, normals = stack(table, PLACE), stack(table, NORMAL)
    at_end = (np.abs(xyz[:, 0]) < 1e-6) | (np.abs(xyz[:, 0] - 4) < 1e-6)
    assert at_end.mean() == pytest.approx(2 / 18, abs=0.015)  # two faces of area 1 of 18 in all
    np.testing.assert_allclose(xyz.mean(axis=0), [2, 0.5, 0.5], atol=0.05)
    on_wall = (np.abs(xyz / [4, 1, 1] - 0.5) > 0.5 - 1e-6).any(axis=1)
    assert on_wall.all()
    outward = ((xyz - [2, 0.5, 0.5]) * normals).sum(axis=1)
    assert (np.abs(outward) > 0.4).all()


def test_mesh_formats_agree(tmp_path: Path) -> None:
    open3d = importlib.import_module("open3d")
    (tmp_path / "a.obj").write_text(obj_text(CUBE, CUBE_QUADS))
    (tmp_path / "b.off").write_text("OFF" + off_text(CUBE, CUBE_QUADS))  # as in ModelNet40
    mesh = read_obj(tmp_path / "a.obj")
    solid = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(stack(mesh.vertices, PLACE).astype(np.float64)),
        open3d.utility.Vector3iVector(mesh.triangles),
    )
    open3d.io.write_triangle_mesh(str(tmp_path / "c.ply"), solid)
    open3d.io.write_triangle_mesh(str(tmp_path / "d.stl"), solid.compute_triangle_normals())
    source = PointFiles().open(
        str(tmp_path), PointGroups(num_points=64, group_size=8, num_groups=4)
    )
    views = [source.read(i, Visit(key=3))["xyz"] for i in range(4)]
    for view in views[1:]:
        torch.testing.assert_close(view, views[0], atol=1e-5, rtol=0)


def test_a_damaged_stl_is_named_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    importlib.import_module("open3d")
    (tmp_path / "letter.stl").write_text("Dear reader,\n")
    with pytest.raises(DataError, match=r"letter\.stl"):
        PointFiles().open(str(tmp_path), PointGroups()).read(0, Visit(key=0))
    assert capfd.readouterr() == ("", "")


def test_missing_open3d_is_said_with_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    (tmp_path / "a.stl").write_bytes(b"solid")
    with pytest.raises(RecipeError, match=r"a\.stl needs open3d.*omnimask\[points\].*doctor"):
        PointFiles().open(str(tmp_path), PointGroups()).read(0, Visit(key=0))
    assert available_readers()[".stl"].startswith("missing")
    assert available_readers()[".ply"].startswith("numpy")


def mesh_ply(path: Path, *, more: str = "", faces: str = "3 0 1 2\n3 0 2 1\n") -> Path:
    """Text of three coloured vertices, `more` a further property of theirs, always 7."""
    names = {"x": "float", "y": "float", "z": "float", **dict.fromkeys(("nx", "ny", "nz"), "float")}
    names |= dict.fromkeys(("red", "green", "blue"), "uchar") | ({more: "float"} if more else {})
    properties = "".join(f"property {kind} {name}\n" for name, kind in names.items())
    rows = [(0, 0, 0.1), (1, 0, 0.2), (0, 1e-3, 0.3)]
    body = "".join(
        " ".join(map(str, (*row, 0, 0, 1, 255, 51, i))) + " 7" * bool(more) + "\n"
        for i, row in enumerate(rows)
    )
    path.write_text(
        f"ply\nformat ascii 1.0\nelement vertex 3\n{properties}element face 2\n"
        f"property list uchar int vertex_indices\nend_header\n{body}{faces}"
    )
    return path


def test_open3d_and_numpy_read_the_same_text_mesh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open3d = importlib.import_module("open3d")
    path, calls, read = mesh_ply(tmp_path / "mesh.ply"), [], open3d.t.io.read_triangle_mesh
    monkeypatch.setattr(open3d.t.io, "read_triangle_mesh", lambda *a: calls.append(a) or read(*a))
    by_open3d = read_ply_mesh(path)
    assert calls == [(str(path),)]
    monkeypatch.setitem(sys.modules, "open3d", None)
    by_numpy = read_ply_mesh(path)
    assert isinstance(by_open3d, Mesh)
    assert isinstance(by_numpy, Mesh)
    np.testing.assert_array_equal(by_open3d.triangles, by_numpy.triangles)
    assert list(by_open3d.vertices) == list(by_numpy.vertices)
    for name, column in by_numpy.vertices.items():
        np.testing.assert_array_equal(by_open3d.vertices[name], column)


def test_a_further_column_of_a_text_mesh_is_kept(tmp_path: Path) -> None:
    mesh = read_ply_mesh(mesh_ply(tmp_path / "mesh.ply", more="quality"))
    assert isinstance(mesh, Mesh)
    assert mesh.vertices["quality"].tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("faces", "said"),
    [
        ("3 0 1 2\n", "truncated"),
        ("4 0 1 2 0\n", "truncated"),
        ("3 0 1 2\n3 0 2\n", "truncated"),
        ("4 0 1 2 0\n3\n", "truncated"),
        ("3 0 1 2\n3 0 two 1\n", "two"),
        ("3 0 1 2\n3 0 2 9\n", "vertex 9 of 3"),
        ("3 0 1 2\n3 0 2 -1\n", "vertex -1 of 3"),
    ],
)
def test_damaged_text_meshes_are_named_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], faces: str, said: str
) -> None:
    importlib.import_module("open3d")
    with pytest.raises(DataError, match=rf"mesh\.ply.*{said}"):
        read_ply_mesh(mesh_ply(tmp_path / "mesh.ply", faces=faces))
    assert capfd.readouterr() == ("", "")


def test_polygons_of_a_text_mesh_become_fans(tmp_path: Path) -> None:
    mesh = read_ply_mesh(mesh_ply(tmp_path / "mesh.ply", faces="4 0 1 2 1\n3 2 1 0\n"))
    assert isinstance(mesh, Mesh)
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 1], [2, 1, 0]]


@pytest.mark.parametrize(
    ("faces", "triangles"),
    [
        ("f 1/1/1 2/2 3//4\nf 4 3 2\n", [[0, 1, 2], [3, 2, 1]]),
        ("f 1 2 3 4\nf 1 2 3\n", [[0, 1, 2], [0, 2, 3], [0, 1, 2]]),
        ("f -1 -2 -3\nv 9 9 9\n f -1\t1 2\n", [[3, 2, 1], [4, 0, 1]]),
    ],
)
def test_faces_of_an_obj(tmp_path: Path, faces: str, triangles: list[list[int]]) -> None:
    path = tmp_path / "a.obj"
    path.write_text("o thing\nv 0 0 0\nv 1 0 0 1 1 1\nvn 0 0 1\nv 0 1 0\nv 1 1 0\n" + faces)
    assert read_obj(path).triangles.tolist() == triangles


@pytest.mark.parametrize("face", ["f 0 1 2", "f 1 2 9", "f 1 2 x", "f 1 2"])
def test_wrong_faces_of_an_obj_are_refused(tmp_path: Path, face: str) -> None:
    path = tmp_path / "a.obj"
    path.write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\n{face}\n")
    with pytest.raises(DataError, match=r"a\.obj"):
        read_obj(path)


def test_an_off_file_with_comments_colours_and_polygons(tmp_path: Path) -> None:
    path = tmp_path / "a.off"
    path.write_text(
        "# made by hand\nOFF # no counts\n\n4 2 0\n0 0 0 # first\n1 0 0\n0 1 0\n1 1 0.5\n"
        "3 0 1 2 255 0 0\n#\n4 3 2 1 0\n"
    )
    mesh = read_off(path)
    assert mesh.triangles.tolist() == [[0, 1, 2], [3, 2, 1], [3, 1, 0]]
    assert mesh.vertices["z"].tolist() == [0, 0, 0, 0.5]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("3 0 1 2", "3 0 1 x"), "x"),
        (("0 1 0\n", "0 one 0\n"), "one"),
        (("3 0 1 2", "4 0 1 2"), "too few corners"),
        (("3 0 1 2", "3 0 1 7"), "vertex 7 of 3"),
        (("3 1 0", "3 2 0"), "ends before"),
    ],
)
def test_damaged_off_files_are_named(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = tmp_path / "a.off"
    path.write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n".replace(*change))
    with pytest.raises(DataError, match=rf"a\.off.*{said}"):
        read_off(path)


def test_points_with_nan_can_be_dropped(tmp_path: Path) -> None:
    xyz = ball(50, 0)
    xyz[[4, 40]] = np.nan
    (tmp_path / "scan.ply").write_bytes(ply_text(xyz))
    source = PointFiles(nan="drop").open(str(tmp_path), PointGroups())
    assert source.read(0, Visit(key=0))["xyz"].shape == (48, 3)


def test_normals_come_from_the_file_or_are_estimated(tmp_path: Path) -> None:
    groups = PointGroups(num_points=400, features=("normals",))
    np.save(tmp_path / "ball.npy", np.concatenate([ball(400, 0)] * 2, axis=1))
    with pytest.raises(DataError, match=r"ball\.npy.*no normals.*estimate_normals=True"):
        PointFiles().open(str(tmp_path), groups).read(0, Visit(key=0))
    named = PointFiles(columns=(*PLACE, *NORMAL)).open(str(tmp_path), groups)
    sample = named.read(0, Visit(key=0, augment=False))
    assert (sample["xyz"] * sample["features"]).sum(dim=1).min() > 0.8
    importlib.import_module("open3d")
    source = PointFiles(estimate_normals=True).open(str(tmp_path), groups)
    sample = source.read(0, Visit(key=0, augment=False))
    agreement = (sample["xyz"] * sample["features"]).sum(dim=1)
    assert agreement.min() > 0.8


def test_normals_stay_at_right_angles_under_stretching() -> None:
    rng = np.random.default_rng(0)
    along, normal = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    along -= (along * normal).sum(1, keepdims=True) / (normal**2).sum(1, keepdims=True) * normal
    matrix = np.diag([2.0, 0.5, 1.2]) @ rotation("any", rng)
    moved = Cloud(xyz=along.astype(np.float32), normals=normal.astype(np.float32)).moved(matrix)
    assert moved.normals is not None
    np.testing.assert_allclose((moved.xyz * moved.normals).sum(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(moved.normals, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", ["up", "any"])
def test_rotations_are_proper(kind: str) -> None:
    matrix = rotation(kind, np.random.default_rng(1))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    assert (matrix[2] == [0, 0, 1]).all() == (kind == "up")


def test_up_becomes_z_without_mirroring() -> None:
    for axis, name in enumerate("xyz"):
        turned = upright(Cloud(xyz=np.eye(3, dtype=np.float32)), name).xyz
        assert turned[axis].tolist() == [0, 0, 1]
        assert np.linalg.det(turned) == pytest.approx(1.0)


def test_unit_sphere() -> None:
    xyz = in_unit_sphere(ball(100, 0) * 7 + 100)
    np.testing.assert_allclose(xyz.mean(axis=0), 0, atol=1e-5)
    assert np.linalg.norm(xyz, axis=1).max() == pytest.approx(1.0, abs=1e-5)
    assert not in_unit_sphere(np.ones((3, 3), np.float32)).any()


def test_every_augmentation_acts_alone(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    off = PointFiles(rotate="none", scale=None, shift=0.0)
    index = 2  # balls/c.npy, subsampled alike for one key
    plain = off.open(str(tmp_path), case.modality).read(index, Visit(key=4))["xyz"]
    for change in (
        {"rotate": "up"},
        {"rotate": "any"},
        {"scale": (0.5, 2.0)},
        {"shift": 0.1},
        {"jitter": 0.01},
    ):
        files = dataclasses.replace(off, **change)
        view = files.open(str(tmp_path), case.modality).read(index, Visit(key=4))["xyz"]
        assert not torch.allclose(view, plain, atol=1e-3), change


def test_labels_can_be_left_out(tmp_path: Path) -> None:
    make_case(tmp_path)
    np.save(tmp_path / "top.npy", ball(10, 0))
    source = PointFiles().open(str(tmp_path), PointGroups())
    assert source.name(0) == "balls/a.ply"
    assert [source.label(i) for i in (0, 4, 7)] == ["balls", "cubes", None]
    source = PointFiles(path="balls", labels="none").open(str(tmp_path), PointGroups())
    assert (source.name(0), source.label(0)) == ("a.ply", None)
