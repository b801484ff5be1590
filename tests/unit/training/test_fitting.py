"""Statistics are measured once for the same files and records."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from omnimask.data.folders import FolderFiles
from omnimask.foundation.errors import DataError
from omnimask.recipe.settings import Data, Stream
from omnimask.tokens.modality import Sample, Visit
from omnimask.training.fitting import fit_modalities
from tests.unit.toy import Toy, ToyFiles, ToySource

READ: list[int] = []


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedFiles(ToyFiles):
    """`state` is the fingerprint of the folder."""

    state: str = "one"

    def open(self, root: str, modality: Toy) -> "CountedSource":
        names = [f"{number}" for number in range(self.num_samples)]
        return CountedSource(
            self, modality, FolderFiles(folder=".", names=names, fingerprint=self.state)
        )


@dataclass(frozen=True, slots=True)
class CountedSource(ToySource):
    found: FolderFiles

    def read(self, index: int, visit: Visit) -> Sample:
        READ.append(index)
        return ToySource.read(self, index, visit)


def fitted(root: Path, files: ToyFiles | None = None, toy: Toy | None = None, most: int = 0) -> Toy:
    READ.clear()
    stream = Stream(name="toy", files={"toy": files or CountedFiles()})
    data = Data(root=str(root), streams=(stream,), max_bad_files=most)
    (found,) = fit_modalities((toy or Toy(),), data)
    assert isinstance(found, Toy)
    return found


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OMNIMASK_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_what_was_measured_is_taken_again(cache: Path):
    first = fitted(cache)
    assert READ
    assert first.mean is not None
    assert fitted(cache) == first
    assert not READ


@pytest.mark.parametrize(
    ("files", "toy"),
    [
        (CountedFiles(state="two"), Toy()),
        (CountedFiles(num_samples=12), Toy()),
        (CountedFiles(), Toy(num_tokens=4)),
    ],
)
def test_other_files_or_records_are_measured_anew(cache: Path, files: CountedFiles, toy: Toy):
    fitted(cache)
    fitted(cache, files, toy)
    assert READ


def test_a_folder_without_a_fingerprint_is_always_measured(cache: Path):
    for _ in range(2):
        fitted(cache, CountedFiles(state=""))
        assert READ


def test_few_files_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMNIMASK_CACHE", raising=False)
    fitted(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_bad_file_is_left_out_where_that_is_allowed(cache: Path):
    files = CountedFiles(bad=(3,))
    with pytest.raises(DataError, match="train-003"):
        fitted(cache, files)
    assert fitted(cache, files, most=1).mean != fitted(cache).mean
    with pytest.raises(DataError):
        fitted(cache, replace(files, bad=(3, 4, 5)), most=1)
