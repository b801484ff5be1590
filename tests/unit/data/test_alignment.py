"""Samples of several sources meet by name, on columns; what a table of Python names would give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnimask.data import alignment
from omnimask.data.alignment import align
from omnimask.data.folders import FolderFiles
from omnimask.data.kept import Columns
from omnimask.data.names import Names, stems_of
from omnimask.tokens.modality import Label, Sample, Visit


@dataclass(frozen=True, slots=True)
class Listed:
    found: FolderFiles

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int) -> str:
        return self.found.names[index]

    def label(self, index: int) -> Label:
        return None

    def read(self, index: int, visit: Visit) -> Sample:
        return {}


def sources(*lists: Sequence[str], prints: Sequence[str] = ()) -> dict[str, Listed]:
    marks = prints or [""] * len(lists)
    return {
        str(number): Listed(
            FolderFiles(
                folder=".", names=Names(pa.array(names, pa.large_string())), fingerprint=mark
            )
        )
        for number, (names, mark) in enumerate(zip(lists, marks, strict=True))
    }


def by_hand(lists: Sequence[Sequence[str]]) -> list[tuple[int, ...]]:
    places: list[dict[str, int]] = []
    for names in lists:
        first: dict[str, int] = {}
        for index, name in enumerate(names):
            first.setdefault(str(PurePosixPath(name).with_suffix("")), index)
        places.append(first)
    return [tuple(p[stem] for p in places) for stem in places[0] if all(stem in p for p in places)]


def rows_of(found: Mapping[str, Sequence[int]]) -> list[tuple[int, ...]]:
    return list(zip(*(map(int, rows) for rows in found.values()), strict=True))


parts = st.sampled_from(["a", "b", ".c", "a.b", "d.", "ü", "e f"])
endings = st.sampled_from(["", ".png", ".wav", ".nii.gz"])
names = st.builds(lambda a, b, end: f"{a}/{b}{end}", parts, parts, endings)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(names, max_size=12), min_size=2, max_size=3))
def test_they_meet_as_by_hand(lists: list[list[str]]):
    expected = by_hand([["both.x", *some] for some in lists])
    assert rows_of(align("s", sources(*(["both.y", *some] for some in lists)), ".")) == expected


@settings(deadline=None, max_examples=50)
@given(st.lists(names, min_size=1))
def test_a_stem_is_what_pathlib_says(some: list[str]):
    expected = [str(PurePosixPath(name).with_suffix("")) for name in some]
    assert stems_of(some).to_pylist() == expected


def test_one_source_needs_no_table():
    assert align("s", sources(["b", "a"]), ".") == {"0": range(2)}


def test_the_join_of_large_lists_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(alignment, "WORTH_KEEPING", 2)
    lists = ["a.x", "b.x", "c.x"], ["b.y", "c.y", "d.y"]
    first = rows_of(align("s", sources(*lists, prints=("one", "two")), str(tmp_path)))

    def refuse(_: object) -> Columns:
        raise AssertionError("joined again")

    monkeypatch.setattr(alignment, "_joined", refuse)
    again = rows_of(align("s", sources(*lists, prints=("one", "two")), str(tmp_path)))
    assert first == again == [(1, 0), (2, 1)]
    with pytest.raises(AssertionError, match="joined again"):
        align("s", sources(*lists, prints=("one", "three")), str(tmp_path))
