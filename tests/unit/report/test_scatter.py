import re

import numpy as np

from omnimask.report.scatter import Points, scene, tsne_places
from omnimask.transfer.probing.knn import whitened

_KINDS = ((1, "image"), (2, "audio"), (3, "image"))


def points(num: int = 40) -> Points:
    return Points(
        xy=np.random.default_rng(0).normal(size=(num, 2)).astype(np.float32),
        names=tuple(f"/data/<{i}>.png" for i in range(num)),
        kinds=tuple("image" if i % 2 else "audio" for i in range(num)),
        labels=tuple(None if i % 4 == 0 else f"class {i}" for i in range(num)),
    )


def test_rare_labels_share_one_group_and_samples_without_label_keep_their_kind() -> None:
    groups = points(200).by_label()
    kept = {group for group in groups if group != "other"}
    assert {kind: sum(g.startswith(kind) for g in kept) for kind in ("audio", "image")} == {
        "audio": 35,
        "image": 35,
    }
    assert groups[0] == "audio"
    assert points(4).by_label() == ["audio", *(f"{k}: class {i}" for i, k in _KINDS)]


def test_a_scene_has_every_point_once_and_each_kind_its_mark() -> None:
    shown = scene(points(), points().kinds, "kinds")
    assert shown.count("/data/") == 40
    assert "<0>" not in shown
    marks = dict(re.findall(r'"name": "(\w+)".*?"symbol": \["(\w+)"', shown))
    assert len(marks) == len(set(marks.values())) == 2


def test_whitened_vectors_are_uncorrelated_and_places_depend_on_the_seed_alone() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(80, 3)) @ random.normal(size=(3, 3))
    flat = whitened(vectors.astype(np.float32), vectors.astype(np.float32))
    np.testing.assert_allclose(flat.T @ flat / 80, np.eye(3), atol=1e-4)
    first, again, other = (tsne_places(flat, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_groups_of_one_kind_have_colours_of_their_own() -> None:
    shown = scene(points(20), points(20).by_label(), "labels")
    colors = dict(re.findall(r'"name": "([^"]+)".*?"color": "(#\w+)"', shown))
    images = [color for name, color in colors.items() if name.startswith("image: ")]
    assert len(images) == len(set(images)) == 10
    assert colors["audio"] not in images
    assert colors["audio"] == "#cbd5e1"
