"""Parts of clouds: the labels of the very points that the cloud's reader chose."""

from pathlib import Path

import numpy as np
import pytest
import torch

from modalities.points import PartFiles, PointFiles, PointGroups, PointParts
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Visit

COLUMNS = ("x", "y", "z", "part")
PARTS = PointParts(num_points=64, names=("left", "right"))
GROUPS = PointGroups(num_points=64, num_groups=8, group_size=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cloud of 300 points, part 1 where x is above 0.2, the first ten unknown."""
    xyz = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    part = (xyz[:, 0] > 0.2).astype(float)
    part[:10] = 255
    np.save(tmp_path / "cloud.npy", np.concatenate([xyz, part[:, None]], axis=1))
    return tmp_path


@pytest.mark.parametrize("augment", [False, True])
def test_parts_are_those_of_the_chosen_points(folder: Path, augment: bool) -> None:
    files = PointFiles(columns=COLUMNS, rotate="none")
    clouds, parts = (
        files.open(str(folder), GROUPS),
        PartFiles(points=files).open(str(folder), PARTS),
    )
    assert clouds.name(0) == parts.name(0)
    seen = []
    for key in range(5):
        visit = Visit(key=key, augment=augment)
        x, ids = clouds.read(0, visit)["xyz"][:, 0], parts.read(0, visit)["parts"]
        assert len(x) == len(ids) == 64
        assert x[ids == 0].max() < x[ids == 1].min()
        seen.append(x)
    assert torch.equal(seen[0], seen[1]) != augment


def test_smaller_clouds_are_padded_with_unknown(folder: Path) -> None:
    short, whole = {"parts": torch.tensor([0, 1, -1])}, {"parts": torch.ones(64, dtype=torch.long)}
    classes = PARTS.classes(PARTS.collate([short, whole]))
    assert classes.shape == (2, 64)
    assert classes[0, :3].tolist() == [0, 1, -1]
    assert (classes[0, 3:] == -1).all()


def test_places_are_the_points(folder: Path) -> None:
    source = PointFiles(columns=COLUMNS).open(str(folder), GROUPS)
    raw = GROUPS.collate([source.read(0, Visit(key=0, augment=False))])
    places = PARTS.places(raw)
    xyz = raw["xyz"]
    assert isinstance(xyz, torch.Tensor)
    assert torch.equal(places.coords, xyz)
    assert bool(places.ok.all())


def test_a_file_without_the_column_is_refused(folder: Path) -> None:
    visit = Visit(key=0, augment=False)
    with pytest.raises(DataError, match=r"cloud\.npy: has no column 'part'"):
        PartFiles().open(str(folder), PARTS).read(0, visit)
    files = PointFiles(columns=COLUMNS)
    only = PartFiles(points=files).open(str(folder), PointParts(num_points=64, names=("a", "b")))
    assert set(only.read(0, visit)["parts"].tolist()) <= {-1, 0, 1}


def test_a_part_beyond_the_names_is_refused(folder: Path) -> None:
    parts = PointParts(num_points=64, names=("a", "b"), unknown=None)
    files = PartFiles(points=PointFiles(columns=COLUMNS))
    rows = np.load(folder / "cloud.npy")
    rows[:, 3] = 2
    np.save(folder / "cloud.npy", rows)
    with pytest.raises(DataError, match=r"has the part 2; expected 0 to 1;"):
        files.open(str(folder), parts).read(0, Visit(key=0, augment=False))


def test_records_that_cannot_be_are_refused(folder: Path) -> None:
    with pytest.raises(RecipeError, match="two or more, all with a slash or all without"):
        PointParts(names=("chair/leg", "seat"))
    with pytest.raises(RecipeError, match="PartFiles feeds PointParts, got PointGroups"):
        PartFiles().open(str(folder), GROUPS)
