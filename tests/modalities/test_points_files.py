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
from modalities.points.meshes import read_obj, sample_surface
from omnimask.data.point_files import NORMAL, PLACE, stack
from omnimask.foundation.errors import DataError
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
    with pytest.raises(DataError, match=r"a\.stl.*apt-get install libusb-1\.0-0"):
        PointFiles().open(str(tmp_path), PointGroups()).read(0, Visit(key=0))
    assert available_readers()[".stl"].startswith("missing")
    assert available_readers()[".ply"].startswith("numpy")


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
