"""One contract of all sources: the same names, labels, bytes and order, however they are stored."""

import pickle
from pathlib import Path

import pytest

from omnimask.data.file_list import FileList
from omnimask.data.folders import list_files
from omnimask.foundation.errors import DataError
from tests.unit.data.sources.cases import FILES, SOURCES, SUFFIXES


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMNIMASK_CACHE", str(tmp_path / "cache"))
    return tmp_path, SOURCES[request.param](tmp_path)


def opened(source: tuple[Path, str], suffixes: tuple[str, ...] = SUFFIXES) -> FileList:
    root, path = source
    return list_files(str(root), path, suffixes, what="things", labels="folder")


def content(found: FileList) -> dict[str, bytes]:
    read = {}
    for index, name in enumerate(found.names):
        with found.local(index) as path:
            assert path.name.lower().endswith(Path(name).suffix.lower())
            read[name] = path.read_bytes()
    return read


def test_names_labels_and_bytes_are_those_of_the_files(source: tuple[Path, str]):
    found = opened(source)
    assert isinstance(found, FileList)
    assert (list(found.names), len(found)) == (sorted(FILES), len(FILES))
    assert [found.label(i) for i in range(4)] == ["cat", "cat", "dog", None]
    assert found.endings == {".bin", ".nii.gz"}
    assert content(found) == FILES


def test_the_second_time_it_is_taken_from_where_it_is_kept(source: tuple[Path, str]):
    first, again = opened(source), opened(source)
    assert first.fingerprint == again.fingerprint != ""
    assert content(again) == FILES


def test_it_can_be_sent_to_another_process(source: tuple[Path, str]):
    assert content(pickle.loads(pickle.dumps(opened(source)))) == FILES


def test_what_it_does_not_hold_is_named(source: tuple[Path, str]):
    with pytest.raises(DataError, match=r"holds no things; expected files ending in \.wav"):
        opened(source, (".wav",))


def test_an_error_names_the_sample(source: tuple[Path, str]):
    found = opened(source)

    def read() -> None:
        with found.local(1) as path:
            raise DataError(f"{path}: is damaged")

    with pytest.raises(DataError, match=r"cat/b\.BIN: is damaged"):
        read()
