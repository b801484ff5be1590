from pathlib import Path

import pytest

from omnimask.data.folders import list_files, suffix_of
from omnimask.foundation.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("cat/b.PNG", "cat/a.jpg", "top.png", "cat/notes.txt", "cat/.hidden.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "elsewhere/dog").mkdir(parents=True)
    (tmp_path / "elsewhere/dog/c.png").touch()
    (tmp_path / "photos/dog").symlink_to(tmp_path / "elsewhere/dog")
    return tmp_path


def test_files_are_found_sorted_and_labelled_by_folder(root: Path):
    files = list_files(str(root), "photos", {".png", ".jpg"}, what="images", labels="folder")
    assert tuple(files.names) == ("cat/a.jpg", "cat/b.PNG", "dog/c.png", "top.png")
    assert [files.label(i) for i in range(4)] == ["cat", "cat", "dog", None]
    assert files.path(0) == root / "photos/cat/a.jpg"


def test_labels_can_be_left_out(root: Path):
    files = list_files(str(root), "photos", {".png"}, what="images", labels="none")
    assert [files.label(i) for i in range(len(files))] == [None] * 3


def test_a_missing_or_empty_folder_is_named(root: Path):
    with pytest.raises(DataError, match="nowhere: no such folder of images"):
        list_files(str(root), "nowhere", {".png"}, what="images", labels="none")
    with pytest.raises(DataError, match=r"photos: holds no sounds; expected files ending in .wav"):
        list_files(str(root), "photos", {".wav"}, what="sounds", labels="none")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("scan.nii.gz", ".nii.gz"),
        ("SCAN.NII.GZ", ".nii.gz"),
        ("scan.nii", ".nii"),
        ("notes.gz", ".gz"),
        (".nii", ""),
        ("scan.2.npy", ".npy"),
        ("scan", ""),
    ],
)
def test_a_suffix_may_have_two_dots(name: str, suffix: str):
    assert suffix_of(Path("a.folder", name), (".nii", ".nii.gz", ".npy")) == suffix
