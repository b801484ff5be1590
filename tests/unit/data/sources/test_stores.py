"""What single kinds of sources refuse, and what they have beside the contract."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnimask.data.file_list import FileList
from omnimask.data.folders import list_files
from omnimask.foundation.errors import DataError, RecipeError
from tests.unit.data.sources.cases import FILES, SUFFIXES, write_tar


def opened(root: Path, path: str) -> FileList:
    return list_files(str(root), path, SUFFIXES, what="things", labels="folder")


@pytest.mark.parametrize("name", ["/etc/a.bin", "../a.bin", "a/../../b.bin", "a\\b.bin"])
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path: Path, name: str):
    write_tar(tmp_path / "a.tar", {"good.bin": b"1", name: b"2"})
    with pytest.raises(DataError, match=r"has a member called .*expected names below"):
        opened(tmp_path, "a.tar")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.array([{"bytes": b"1", "path": name}], kind)
    pq.write_table(pa.table({"x": rows}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"has a member called .*expected names below"):
        opened(tmp_path, "a.parquet#x")


def test_links_in_an_archive_are_refused(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("link.bin")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(DataError, match=r"'link.bin' is a link, a device or a sparse file"):
        opened(tmp_path, "a.tar")


def compressed(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.bin"), io.BytesIO())


def cut_off(path: Path) -> None:
    write_tar(path, {"a.bin": bytes(4096), "b.bin": bytes(9000)})
    path.write_bytes(path.read_bytes()[:9000])


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


@pytest.mark.parametrize("write", [compressed, cut_off, noise])
def test_a_damaged_shard_is_named(tmp_path: Path, write):
    write(tmp_path / "bad.tar")
    with pytest.raises(DataError, match=r"bad\.tar: (is no tar|is cut off)"):
        opened(tmp_path, "bad.tar")


def test_two_files_of_one_name_are_refused(tmp_path: Path):
    for shard in "ab":
        write_tar(tmp_path / f"{shard}.tar", {"0.bin": b"1"})
    with pytest.raises(DataError, match=r"1 names stand for two files, as '0\.bin'"):
        opened(tmp_path, "*.tar")


def test_a_class_beside_a_file_is_its_label(tmp_path: Path):
    write_tar(tmp_path / "a.tar", {"0.bin": b"1", "0.cls": b"7\n", "1.bin": b"2"})
    found = opened(tmp_path, "a.tar")
    assert [found.label(0), found.label(1)] == ["7", None]


def test_a_shard_that_is_missing_is_named(tmp_path: Path):
    write_tar(tmp_path / "a-00.tar", FILES)
    with pytest.raises(DataError, match=r"a-01\.tar: there are no such shards of things"):
        opened(tmp_path, "a-{00..02}.tar")
    with pytest.raises(DataError, match=r"there are no such shards"):
        opened(tmp_path, "b-*.tar")


def test_a_shard_that_was_changed_is_listed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMNIMASK_CACHE", str(tmp_path / "cache"))
    write_tar(tmp_path / "a.tar", {"0.bin": b"1"})
    before = opened(tmp_path, "a.tar")
    write_tar(tmp_path / "a.tar", {"0.bin": b"1", "more.bin": bytes(20_000)})
    after = opened(tmp_path, "a.tar")
    assert (len(before), len(after)) == (1, 2)
    assert before.fingerprint != after.fingerprint


def test_bytes_without_a_path_are_named_by_their_row_and_told_by_their_start(tmp_path: Path):
    rows = [b"\xff\xd8\xffjpeg", None, b"\xff\xd8\xffother"]
    table = pa.table({"x": pa.array(rows, pa.binary()), "label": [3, 4, 5]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    found = list_files(str(tmp_path), "t.parquet#x", (".jpg",), what="images", labels="folder")
    assert list(found.names) == ["t/00000-000000.jpg", "t/00001-000000.jpg"]
    assert [found.label(0), found.label(1)] == ["3", "5"]
    with found.local(1) as path:
        assert path.read_bytes() == b"\xff\xd8\xffother"


def test_what_is_no_column_of_bytes_is_named(tmp_path: Path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column 'text' holds string; expected bytes"):
        opened(tmp_path, "t.parquet#text")
    with pytest.raises(DataError, match=r"has no column 'image'"):
        opened(tmp_path, "t.parquet#image")
    with pytest.raises(DataError, match=r"has no column 'path', only text; a list of files"):
        opened(tmp_path, "t.parquet")


def test_urls_that_could_run_something_are_refused(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"URLs begin with s3, .*got 'jupyter'"):
        opened(tmp_path, "jupyter://host/files")


def test_a_remote_place_that_cannot_be_listed_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"memory://nowhere-at-all.*holds no things|cannot be list"):
        list_files("memory://nowhere-at-all", ".", SUFFIXES, what="things", labels="none")
