"""The world's scenes: factors drawn on their own, and senses that agree with one another."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chi2_contingency, spearmanr

from omnimask.sample_data.world import clip, cloud, image, row, sound, sweep
from omnimask.sample_data.world.factors import Scene, as_row, draw_scene
from omnimask.sample_data.world.materials import MATERIALS
from omnimask.sample_data.world.motion import MOTIONS, Motion, frame_times_s, moves
from omnimask.sample_data.world.render import camera_of
from omnimask.sample_data.world.shapes import FAMILIES, NUM_TRAIN, draw_instance, instance, mesh_of
from omnimask.sample_data.world.stage import build

NUM_DRAWN = 500
CLASSES = (
    *("family", "pose", "material", "colour", "pattern", "num_objects", "motion"),
    *("wall", "floor", "clutter", "split", "paired"),
)
NUMBERS = (
    *("slender", "thick", "taper", "size_m", "x_m", "yaw_rad", "tempo", "delay_s"),
    *("camera_elevation_rad", "camera_distance_m", "camera_azimuth_rad", "room_half_x_m"),
    *("light_azimuth_rad", "light_elevation_rad", "light_warmth", "light_ambient"),
)


@pytest.fixture(scope="module")
def drawn() -> list[dict]:
    return [as_row(draw_scene(0, number)) for number in range(NUM_DRAWN)]


def test_the_world_is_as_rich_as_it_says() -> None:
    assert len(FAMILIES) >= 10
    assert len(MATERIALS) >= 6
    assert len(MOTIONS) >= 8


def test_classes_are_drawn_independently(drawn: list[dict]) -> None:
    """Bonferroni over all pairs: a dependence of any strength is far below the bound."""
    pairs = [(a, b) for i, a in enumerate(CLASSES) for b in CLASSES[:i]]
    codes = {n: np.unique([r[n] for r in drawn], return_inverse=True)[1] for n in CLASSES}
    for first, second in pairs:
        columns = [codes[name] for name in (first, second)]
        counts = np.zeros([column.max() + 1 for column in columns])
        np.add.at(counts, tuple(columns), 1)
        assert chi2_contingency(counts).pvalue > 0.001 / len(pairs), (first, second)


def test_numbers_are_drawn_independently_of_one_another_and_of_classes(drawn: list[dict]) -> None:
    values = np.array([[row[name] for name in NUMBERS] for row in drawn])
    correlation = np.asarray(spearmanr(values).statistic) - np.eye(len(NUMBERS))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(NUM_DRAWN)
    for name in CLASSES:
        labels = np.array([str(row[name]) for row in drawn])
        for found in np.unique(labels):
            part = values[labels == found]
            off = np.abs(part.mean(axis=0) - values.mean(axis=0)) / values.std(axis=0)
            assert (off * np.sqrt(len(part)) < 4.8).all(), (name, found)


def test_no_object_is_in_both_splits(drawn: list[dict]) -> None:
    """Neither by its number nor by its shape; training scenes do meet an object again."""
    met: dict[str, list[tuple]] = {"train": [], "held_out": []}
    for scene in drawn:
        for prefix in ("", "other_1_", "other_2_"):
            if scene[f"{prefix}family"] is not None:
                names = ("family", "instance", "slender", "thick", "taper")
                met[scene["split"]].append(tuple(scene[f"{prefix}{name}"] for name in names))
    train, held_out = set(met["train"]), set(met["held_out"])
    assert len(train) < len(met["train"])
    for part in (slice(1, 2), slice(2, None)):
        assert not {x[part] for x in train} & {x[part] for x in held_out}
    rng = np.random.default_rng(0)
    assert all(draw_instance(rng, 0, split="train").number < NUM_TRAIN for _ in range(50))
    assert all(draw_instance(rng, 0, split="held_out").number >= NUM_TRAIN for _ in range(50))


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_follow_their_parameters(family: str) -> None:
    """Every parameter changes the mesh, bit by bit."""
    number = list(FAMILIES).index(family)
    found = instance(0, number)
    assert found.family == family
    middle = replace(found, slender=0.5, thick=0.5, taper=0.5)
    for name in ("slender", "thick", "taper"):
        meshes = [mesh_of(replace(middle, **{name: x})) for x in (0.45, 0.5, 0.52)]
        for mesh in meshes:
            assert np.ptp(mesh.vertices, axis=0).max() == pytest.approx(1)
        assert not np.allclose(meshes[0].vertices, meshes[1].vertices)
        assert not np.allclose(meshes[1].vertices, meshes[2].vertices)


def scene_with(kind: str, **changes: object) -> Scene:
    scene = draw_scene(0, 0)
    motion = Motion(kind=kind, tempo=0.5, delay_s=0.2, heading_rad=1.0)
    subject = replace(scene.subject, **{"material": "metal", **changes})
    return replace(scene, motion=motion, subject=subject)


@pytest.mark.parametrize("kind", ["drop", "bounce", "hop"])
def test_the_sound_begins_when_the_object_lands(kind: str) -> None:
    """Landing as the poses have it, onset as the waveform has it."""
    scene = scene_with(kind, material="ceramic")
    stage = build(scene)
    times_s = np.linspace(0, 1.6, 1601)
    poses = stage.bodies[0].moved(moves(scene.motion, times_s), scene.motion.heading_rad)
    turned = [float((stage.bodies[0].corners @ pose.turn[2]).min()) for pose in poses]
    lowest_m = np.array([pose.centre[2] + z for pose, z in zip(poses, turned, strict=True)])
    air = lowest_m > 0.02
    landing_s = times_s[np.flatnonzero(air[:-1] & ~air[1:])[0]]
    wave = np.abs(sound.dry(scene, scene.generator("sound")))
    onset_s = np.argmax(wave > 0.05 * wave.max()) / sound.RATE_HZ
    assert onset_s == pytest.approx(landing_s, abs=0.012)
    # And in the recording, with its room and its noise, loudest soon after.
    recorded = np.abs(sound.observe(scene))
    first_s = landing_s + np.array([-0.15, 0.0, 0.05])
    parts = (first_s * sound.RATE_HZ).astype(int)
    assert recorded[parts[1] : parts[2]].max() > 1.3 * recorded[parts[0] : parts[1]].max()


def test_rubbing_is_heard_while_the_object_slides() -> None:
    scene = scene_with("slide", material="plastic")
    speed = moves(scene.motion, np.arange(sound.NUM_SAMPLES) / sound.RATE_HZ).rubbing
    wave = sound.observe(scene)
    level = [wave[part].std() for part in (speed == 0, speed > 0.5 * speed.max())]
    assert level[1] > 3 * level[0]


def test_pitch_follows_material_and_size() -> None:
    def lowest_hz(**changes: object) -> float:
        return float(sound.modes_of(scene_with("drop", **changes))[0][0])

    assert lowest_hz(size_m=1.3) > 1.5 * lowest_hz(size_m=2.6)
    assert lowest_hz(material="metal") > 5 * lowest_hz(material="rubber")


@pytest.mark.parametrize("kind", MOTIONS)
def test_the_clip_shows_the_motion(kind: str) -> None:
    """Its picture changes as the poses do, and an object never sinks into the ground."""
    stage = build(scene_with(kind))
    body, poses = stage.bodies[0], clip.poses_of(stage)
    found = moves(stage.scene.motion, frame_times_s())
    for pose, up in zip(poses, found.up, strict=True):
        lowest = float((body.corners @ pose.turn[2]).min()) + pose.centre[2]
        assert lowest == pytest.approx(up, abs=1e-4)
    frames = clip.observe(stage).astype(int)
    changes = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    moved = np.array(
        [
            np.abs(a.centre - b.centre).max() + np.abs(a.turn - b.turn).max()
            for a, b in pairwise(poses)
        ]
    )
    assert (changes[moved == 0] == 0).all()
    assert (changes[moved > 0.05] > 0.05).all()


def test_points_lie_on_the_visible_surface() -> None:
    """In the object's frame, by Open3D: near the mesh, and nothing between them and the camera."""
    import open3d as o3d

    scene = replace(draw_scene(0, 0), others=())
    stage = build(scene)
    body, camera = stage.bodies[0], camera_of(scene)
    placed = cloud.placed(stage, scene.generator("cloud"))
    points = cloud.observe(stage)
    away_m = [np.linalg.norm(part, axis=1) for part in (points, placed - camera.place)]
    np.testing.assert_allclose(*away_m, rtol=1e-5)
    assert 300 < len(points) <= cloud.MOST_POINTS

    def local(places: np.ndarray) -> np.ndarray:
        return ((places - body.rest.centre) @ body.rest.turn).astype(np.float32)

    distance_m = body.scene.compute_distance(o3d.core.Tensor.from_numpy(local(placed))).numpy()
    on_object, on_ground = distance_m < 0.06, np.abs(placed[:, 2]) < 0.06
    assert (on_object | on_ground).mean() > 0.94, "but for strays"
    assert on_object.mean() > 0.7
    assert np.sqrt(np.mean(distance_m[on_object] ** 2)) < 0.015
    seen = placed[on_object]
    to_camera = camera.place - seen
    to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
    directions = (to_camera @ body.rest.turn).astype(np.float32)
    rays = np.concatenate([local(seen + 0.08 * to_camera), directions], axis=1)
    stopped = body.scene.test_occlusions(o3d.core.Tensor.from_numpy(rays)).numpy()
    assert stopped.mean() < 0.03


def test_depth_classes_and_image_agree() -> None:
    scene = draw_scene(0, 0)
    colour, depth, classes = image.observe(build(scene))
    subject = classes == image.CLASSES.index(scene.subject.shape.family)
    assert 60 < subject.sum() < 3000
    camera = camera_of(scene)
    near_m = depth[subject].astype(float) / 1000
    assert np.abs(near_m - scene.view.distance_m).max() < scene.subject.size_m
    ground = classes == 1
    assert ground.sum() > 300
    assert (depth[ground] < 1000 * (camera.place[2] + 40)).all()
    assert colour.std() > 5


def test_a_sweep_has_ground_walls_and_the_subject() -> None:
    scene = draw_scene(0, 2)
    found = sweep.observe(build(scene))
    x, y, z = found[:, :3].T
    level = np.hypot(x, y)
    assert (np.abs(z - z.min()) < 0.3).mean() > 0.2
    assert ((z > 0.5) & (level > 4)).any()
    assert (found[:, 3] >= 0).all()
    assert (found[:, 3] <= 1).all()


def test_a_row_is_measured_with_gaps_and_holds_no_factor() -> None:
    scenes = [draw_scene(0, number) for number in range(30)]
    rows = [row.observe(build(scene), "ball/scene") for scene in scenes]
    cells = {name: [r[name] for r in rows] for name in rows[0]}
    gaps = {name: sum(x is None for x in column) for name, column in cells.items()}
    assert gaps[row.NAME] == gaps[row.LABEL] == 0
    assert 0.02 < sum(gaps.values()) / (30 * len(gaps)) < 0.2
    known = [(r["mass_kg"], r["displaced_l"], s) for r, s in zip(rows, scenes, strict=True)]
    for mass_kg, litres, scene in known:
        if mass_kg is not None and litres is not None:
            density = MATERIALS[scene.subject.material].density
            assert mass_kg / litres * 1000 == pytest.approx(density, rel=0.5)
    factors = {*as_row(scenes[0]), "density", "material"}
    assert not factors & set(cells)
