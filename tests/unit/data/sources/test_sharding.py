"""Any source becomes shards: balanced, the same bytes each time, made once."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from omnimask.commands.main import main
from omnimask.data.file_list import FileList
from omnimask.data.folders import list_files
from omnimask.data.sources import sharding
from omnimask.data.sources.sharding import shard
from omnimask.foundation.errors import DataError
from tests.unit.data.sources.cases import FILES, SOURCES, SUFFIXES


@pytest.fixture
def many(tmp_path: Path) -> FileList:
    """A hundred samples of two files each, some ten times as large as others."""
    for number in range(100):
        place = tmp_path / "many" / f"class-{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:03}.bin").write_bytes(bytes([number]) * (60_000 if number < 9 else 6000))
        (place / f"{number:03}.cls").write_text(str(number % 3))
    return everything(tmp_path, "many")


def everything(root: Path, path: str) -> FileList:
    return list_files(str(root), path, ("",), what="files", labels="none")


def checksums(out: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.glob("*.tar"))
    }


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_is_the_same_as_shards(kind: str, tmp_path: Path):
    path = SOURCES[kind](tmp_path)
    found = list_files(str(tmp_path), path, SUFFIXES, what="things", labels="folder")
    shard(found, tmp_path / "out")
    again = list_files(str(tmp_path), "out/*.tar", SUFFIXES, what="things", labels="folder")
    assert list(again.names) == sorted(FILES)
    for index, name in enumerate(again.names):
        with again.local(index) as place:
            assert place.read_bytes() == FILES[name]


def test_shards_are_balanced_and_keep_samples_whole(many: FileList, tmp_path: Path):
    done = shard(many, tmp_path / "out", shard_mb=1)
    assert (done.samples, done.shards) == (100, 2)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "out").glob("*.tar"))]
    assert max(sizes) < 1.2 * min(sizes)
    found = [
        {name.rpartition(".")[0] for name in everything(tmp_path, f"out/shard-0000{n}.tar").names}
        for n in range(2)
    ]
    assert not found[0] & found[1]
    labelled = list_files(str(tmp_path), "out/*.tar", (".bin",), what="files", labels="folder")
    assert {labelled.label(i) for i in range(100)} == {"0", "1", "2"}


def test_the_checksums_are_those_of_the_shards(many: FileList, tmp_path: Path):
    shard(many, tmp_path / "out", shard_mb=1)
    out = tmp_path / "out"
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out, check=True)
    index = json.loads((out / "index.json").read_text())
    assert {entry["file"]: entry["sha256"] for entry in index["shards"]} == checksums(out)
    assert index["samples"] == 100


def test_it_goes_on_where_it_was(many: FileList, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shard(many, tmp_path / "whole", shard_mb=1)
    real, written = sharding._write, list[int]()

    def stopped(found, files, out: Path, number: int) -> str:
        if number == 1:
            (out / "shard-00001.tar.tmp").write_bytes(b"half")
            raise KeyboardInterrupt
        return real(found, files, out, number)

    def counted(found, files, out: Path, number: int) -> str:
        written.append(number)
        return real(found, files, out, number)

    monkeypatch.setattr(sharding, "_write", stopped)
    with pytest.raises(KeyboardInterrupt):
        shard(many, tmp_path / "out", shard_mb=1)
    monkeypatch.setattr(sharding, "_write", counted)
    assert shard(many, tmp_path / "out", shard_mb=1).new == 1
    assert written == [1]
    assert checksums(tmp_path / "out") == checksums(tmp_path / "whole")
    (tmp_path / "out/shard-00000.tar").write_bytes(b"cut")
    assert shard(many, tmp_path / "out", shard_mb=1).new == 1
    assert checksums(tmp_path / "out") == checksums(tmp_path / "whole")


def test_a_folder_of_other_shards_is_left_alone(many: FileList, tmp_path: Path):
    shard(many, tmp_path / "out", shard_mb=1)
    with pytest.raises(DataError, match="holds shards of another source"):
        shard(many, tmp_path / "out", shard_mb=2)
    with pytest.raises(DataError, match="is not empty and holds no shards"):
        shard(many, tmp_path / "many")


def test_the_command_works_with_several_processes(many: FileList, tmp_path: Path, capsys):
    words = ["shard", "many", "--root", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*words, "--shard-mb", "1", "--workers", "2"]) == 0
    assert "100 samples in 2 shards, 2 of them new" in capsys.readouterr().out
    shard(many, tmp_path / "alone", shard_mb=1)
    assert checksums(tmp_path / "out") == checksums(tmp_path / "alone")
    assert main([*words, "--suffixes", ".wav"]) == 2
    assert "holds no files to pack" in capsys.readouterr().err
