"""What is listed once and kept: whoever finds it has the same names, and nothing stale or damaged
is taken for good."""

import json
import logging
import os
import pickle
import time
from pathlib import Path

import pyarrow as pa
import pytest

from omnimask.data import kept as kept_module
from omnimask.data import manifest as manifest_module
from omnimask.data.kept import (
    Columns,
    DamagedError,
    cache_folders,
    keep,
    read_columns,
    write_columns,
)
from omnimask.data.manifest import Manifest, manifest_of
from omnimask.data.names import Names
from omnimask.foundation.errors import DataError

SUFFIXES = (".png", ".nii.gz", ".gz")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settled folder of files, large enough to be kept."""
    monkeypatch.setattr(manifest_module, "WORTH_KEEPING", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.delenv("OMNIMASK_CACHE", raising=False)
    root = tmp_path / "data"
    for name in ("cat/b.PNG", "cat/a.png", "dog/c.nii.gz", "top.png", "cat/.hidden.png"):
        path = root / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    settle(root)
    return root


def settle(root: Path) -> None:
    """As if nothing had changed for a minute."""
    then = time.time() - 60
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        os.utime(folder, (then, then))


def manifest(root: Path) -> Manifest:
    return manifest_of(str(root), root / "files", SUFFIXES)


def pointer_of(root: Path) -> Path:
    (pointer,) = (root / ".omnimask").glob("*.json")
    return pointer


def no_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Columns:
        raise AssertionError("the folder was listed again")

    monkeypatch.setattr(manifest_module, "listed", refuse)


def test_a_folder_is_listed_once(root: Path, monkeypatch: pytest.MonkeyPatch):
    first = manifest(root)
    assert list(first.names) == ["cat/a.png", "cat/b.PNG", "dog/c.nii.gz", "top.png"]
    assert first.endings == {".png", ".nii.gz"}
    no_listing(monkeypatch)
    again = manifest(root)
    assert list(again.names) == list(first.names)
    assert (again.fingerprint, again.endings) == (first.fingerprint, first.endings)


def test_the_root_itself_may_be_the_folder(root: Path, monkeypatch: pytest.MonkeyPatch):
    """Though what is kept lies in it."""
    manifest_of(str(root), root, SUFFIXES)
    no_listing(monkeypatch)
    assert len(manifest_of(str(root), root, SUFFIXES).names) == 4


def add_file(root: Path) -> None:
    (root / "files/cat/new.png").touch()


def remove_file(root: Path) -> None:
    (root / "files/top.png").unlink()


def add_folder(root: Path) -> None:
    (root / "files/dog/deep").mkdir()
    (root / "files/dog/deep/d.png").touch()


def remove_folder(root: Path) -> None:
    (root / "files/dog/c.nii.gz").unlink()
    (root / "files/dog").rmdir()


@pytest.mark.parametrize("change", [add_file, remove_file, add_folder, remove_folder])
def test_a_change_is_noticed_with_a_word(root: Path, change, caplog: pytest.LogCaptureFixture):
    before = manifest(root)
    change(root)
    settled = set((root / "files").rglob("*.png"))
    with caplog.at_level(logging.WARNING):
        after = manifest(root)
    assert "have changed; it is made anew" in caplog.text
    assert after.fingerprint != before.fingerprint
    assert {root / "files" / name for name in after.names if name.endswith(".png")} == {
        path for path in settled if not path.name.startswith(".")
    }


def test_a_folder_that_may_still_change_is_listed_again(root: Path):
    """Within one tick of its clock a folder can change without another time of change."""
    (root / "files/cat/new.png").touch()
    first = manifest(root)
    changed = (root / "files/cat").stat()
    (root / "files/cat/newer.png").touch()
    os.utime(root / "files/cat", ns=(changed.st_atime_ns, changed.st_mtime_ns))
    assert len(manifest(root).names) == len(first.names) + 1


def cut_off(pointer: Path) -> None:
    column = next(pointer.parent.glob("*.name.arrow"))
    column.write_bytes(column.read_bytes()[:-9])


def flip_a_bit(pointer: Path) -> None:
    column = next(pointer.parent.glob("*.name.arrow"))
    data = bytearray(column.read_bytes())
    data[data.index(b"cat/a.png") + 4] ^= 1
    column.write_bytes(data)


def remove_column(pointer: Path) -> None:
    next(pointer.parent.glob("*.folder.arrow")).unlink()


def change_the_pointer(pointer: Path) -> None:
    pointer.write_text(pointer.read_text().replace('".png"', '".pgn"'))


def cut_the_pointer(pointer: Path) -> None:
    pointer.write_text(pointer.read_text()[:40])


def another_version(pointer: Path) -> None:
    pointer.write_text(json.dumps({**json.loads(pointer.read_text()), "format": 0}))


@pytest.mark.parametrize(
    "damage",
    [cut_off, flip_a_bit, remove_column, change_the_pointer, cut_the_pointer, another_version],
)
def test_what_is_damaged_is_made_anew_with_a_word(
    root: Path, damage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    before = list(manifest(root).names)
    damage(pointer_of(root))
    with pytest.raises(DamagedError):
        read_columns(pointer_of(root))
    with caplog.at_level(logging.WARNING):
        assert list(manifest(root).names) == before
    assert "it is made anew" in caplog.text
    assert len(list((root / ".omnimask").iterdir())) == 4  # nothing old is left
    no_listing(monkeypatch)
    assert list(manifest(root).names) == before


def test_few_files_leave_no_trace(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(manifest_module, "WORTH_KEEPING", 5)
    manifest(root)
    assert not (root / ".omnimask").exists()
    monkeypatch.setenv("OMNIMASK_CACHE", str(root / "elsewhere"))
    manifest(root)
    assert any((root / "elsewhere").glob("*.json"))


def test_a_root_that_cannot_be_written_leaves_it_to_the_user_s_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    """A file in the place of `.omnimask`: who runs the tests may write everywhere."""
    (root / ".omnimask").touch()
    manifest(root)
    assert [folder.name for folder in cache_folders(root)] == [".omnimask", "omnimask"]
    assert any(cache_folders(root)[1].glob("*.json"))
    no_listing(monkeypatch)
    assert len(manifest(root).names) == 4


def test_a_link_to_a_folder_above_ends_the_walk(root: Path):
    (root / "files/cat/again").symlink_to(root / "files")
    assert len(manifest(root).names) == 4


def test_a_name_that_is_no_text_is_refused(root: Path):
    Path(os.fsdecode(bytes(root / "files") + b"/\xff.png")).touch()
    with pytest.raises(DataError, match=r"holds a file whose name is no UTF-8.*rename"):
        manifest(root)


def test_kept_names_are_sent_by_their_place(root: Path):
    manifest(root)
    names = manifest(root).names
    assert len(pickle.dumps(names)) < 400
    assert list(pickle.loads(pickle.dumps(names))) == list(names)
    in_memory = Names(pa.array(["a", "b"], pa.large_string()))
    assert list(pickle.loads(pickle.dumps(in_memory))[1:]) == ["b"]


def test_of_columns_that_were_replaced_readers_keep_what_they_mapped(tmp_path: Path):
    pointer = tmp_path / "numbers.json"
    write_columns(pointer, Columns(arrays={"n": pa.array([1, 2])}, about={}))
    old = read_columns(pointer)
    write_columns(pointer, Columns(arrays={"n": pa.array([3])}, about={}))
    assert old.arrays["n"].to_pylist() == [1, 2]
    assert read_columns(pointer).arrays["n"].to_pylist() == [3]


def test_who_waited_takes_what_the_other_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between the first look and the lock another process has made them."""
    theirs = Columns(arrays={"n": pa.array([1])}, about={})
    real = kept_module._locked

    def slow(key: str):
        write_columns(tmp_path / f"{key}.json", theirs)
        return real(key)

    monkeypatch.setattr(kept_module, "_locked", slow)
    found = keep([tmp_path], "one", lambda: Columns(arrays={"n": pa.array([2])}, about={}))
    assert found.arrays["n"].to_pylist() == [1]
