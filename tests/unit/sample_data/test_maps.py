"""The scenes of the sample data: three maps that agree pixel by pixel, and tell objects apart."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnimask.sample_data import maps
from omnimask.sample_data.files import FileJob, file_generator
from omnimask.sample_data.meshes import box, sphere
from omnimask.sample_data.rays import Camera, Light, Paint, Rendered, Solid, render

SCENES = maps.jobs(0.1)
RED, BLUE = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


def plain(colour: np.ndarray) -> Paint:
    return Paint(first=colour, second=colour, pattern="plain", step_m=1.0)


def seen_from_above(*solids: Solid, light: np.ndarray | None = None) -> Rendered:
    """From 5 m above the origin, 4 m × 4 m of the ground; the top of the picture is at x > 0."""
    view_deg = float(2 * np.rad2deg(np.arctan(2 / 5)))
    camera = Camera(place=np.array([-1e-6, 0, 5]), target=np.zeros(3), view_deg=view_deg)
    direction = np.array([0.0, 0.0, 1.0]) if light is None else light
    ground = Solid(mesh=box(99.0, 99.0, 1.0).moved(z=-1.0), class_id=1, paint=plain(RED))
    lamp = Light(direction=direction, colour=np.ones(3), ambient=0.25)
    return render([ground, *solids], camera, lamp, side=64)


def read(root: Path, job: FileJob) -> dict[str, np.ndarray]:
    maps.write(job, root, file_generator(0, job.path))
    return {name: np.asarray(Image.open(root / maps.map_path(job, name))) for name in maps.MAPS}


def test_depth_is_along_the_viewing_direction() -> None:
    """Constant on a plane that the camera looks straight at, where the range is not."""
    depth_m = seen_from_above().depth_m
    np.testing.assert_allclose(depth_m, 5.0, atol=1e-4)


def test_class_colour_and_depth_show_one_object_at_one_place() -> None:
    """A ball of radius 0.5 m whose middle is 1 m to the left (y > 0) of the view's middle."""
    ball = Solid(mesh=sphere(0.5, segments=64).moved(y=1.0), class_id=7, paint=plain(BLUE))
    seen = seen_from_above(ball)
    is_ball = seen.class_ids == 7
    rows, columns = np.nonzero(is_ball)
    assert rows.mean() == pytest.approx(31.5, abs=0.5)
    assert columns.mean() == pytest.approx(15.5, abs=0.6)
    assert set(np.unique(seen.class_ids)) == {1, 7}
    np.testing.assert_array_equal(seen.depth_m < 4.999, is_ball)
    assert seen.depth_m.min() == pytest.approx(4.5, abs=0.02)
    mostly_blue = seen.colour[..., 2] > seen.colour[..., 0]
    assert (mostly_blue == is_ball).mean() > 0.99


def test_light_from_the_side_throws_a_shadow_to_the_other() -> None:
    slant = np.array([0.0, 1.0, 1.0]) / np.sqrt(2)
    post = Solid(mesh=box(0.4, 0.4, 1.0), class_id=7, paint=plain(BLUE))
    red = seen_from_above(post, light=slant).colour[32, :, 0]
    lit, shadow = red[12], red[40]  # at y = 1.2 and y = -0.5, the shadow's end being at -1.2
    assert shadow == pytest.approx(0.25)
    assert lit == pytest.approx(0.25 + 0.75 / np.sqrt(2), abs=1e-6)


def test_files_have_the_stated_types_and_agree(tmp_path: Path) -> None:
    known = {*range(len(maps.CLASSES)), maps.UNKNOWN}
    for job in SCENES:
        scene = read(tmp_path, job)
        side = (maps.SIDE, maps.SIDE)
        assert (scene["rgb"].shape, scene["rgb"].dtype) == ((*side, 3), np.uint8)
        assert (scene["depth"].shape, scene["depth"].dtype) == (side, np.uint16)
        assert (scene["semantic"].shape, scene["semantic"].dtype) == (side, np.uint8)
        assert set(np.unique(scene["semantic"])) <= known
        main = scene["semantic"] == maps.CLASSES.index(job.label)
        assert main.mean() > 0.01, f"{job.path}: the main object is hardly there"
        wall = scene["depth"][scene["semantic"] == 0]
        assert not len(wall) or np.median(wall) > np.median(scene["depth"][main])
        assert 500 < scene["depth"].min() < scene["depth"].max() < 60_000
        assert len(np.unique(scene["depth"])) > 256, "a 16-bit file that holds 8 bits"


def test_some_objects_are_of_no_known_kind(tmp_path: Path) -> None:
    unknown = [(read(tmp_path, job)["semantic"] == maps.UNKNOWN).any() for job in SCENES]
    assert 0 < sum(unknown) < len(unknown) / 2


def test_colour_does_not_tell_the_class(tmp_path: Path) -> None:
    """The mean colours of one class spread as widely as those of all."""
    means = [
        (scene["rgb"][scene["semantic"] > 1].mean(axis=0), job.label)
        for job in SCENES
        for scene in [read(tmp_path, job)]
    ]
    everything = np.stack([colour for colour, _ in means]).std(axis=0).mean()
    within = [
        np.stack([colour for colour, label in means if label == kind]).std(axis=0).mean()
        for kind in maps.KINDS
    ]
    assert np.mean(within) > 0.6 * everything


def test_a_scene_depends_on_seed_and_path_alone(tmp_path: Path) -> None:
    first, again = read(tmp_path / "a", SCENES[3]), read(tmp_path / "b", SCENES[3])
    other = read(tmp_path / "a", SCENES[4])
    for name in maps.MAPS:
        np.testing.assert_array_equal(first[name], again[name])
        assert (first[name] != other[name]).any()
