"""Which files of a folder belong together, by empty files and inspectors that read their names."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from omnimask.foundation.errors import DataError
from omnimask.inspection.folder import FileSet, look_into
from omnimask.inspection.inspector import Inspector, Look


def inspector(name: str, suffixes: Sequence[str], *, fit: float = 1.0) -> Inspector:
    """A file's stem is its variant; one called "bad" is broken."""

    def look(path: Path) -> Look:
        if path.stem == "bad":
            raise DataError(f"{path}: is broken")
        variant = path.stem if path.stem.startswith("v") else ""
        return Look(facts={"letters": len(path.name)}, variant=variant, fit=fit)

    def unused(*_: object) -> None:
        raise AssertionError("nothing is proposed here")

    return Inspector(name=name, suffixes=suffixes, look=look, propose=unused, files=unused)  # pyright: ignore[reportArgumentType] never called


INSPECTORS = {
    "pictures": inspector("pictures", [".p"]),
    "objects": inspector("objects", [".o", ".both"], fit=0.2),
    "scans": inspector("scans", [".s", ".s.gz", ".both"], fit=0.7),
}


def sets_of(root: Path, *names: str, most: int = 100) -> dict[str, FileSet]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return {part.path: part for part in look_into(root, INSPECTORS, most=most).sets}


def test_a_flat_folder_is_one_set(tmp_path: Path):
    (part,) = sets_of(tmp_path, "a.p", "b.p", "notes.txt", ".hidden.p").values()
    assert (part.path, part.names, part.labels) == (".", ("a.p", "b.p"), {})


def test_folders_are_labels(tmp_path: Path):
    parts = sets_of(tmp_path, "all/cats/a.p", "all/cats/b.p", "all/dogs/c.p")
    assert parts["all"].labels == {"cats": 2, "dogs": 1}


@pytest.mark.parametrize(
    ("train", "held_out"),
    [("x/train", "x/val"), ("train/x", "test/x"), ("x/training", "x/held_out"), ("Train", "Dev")],
)
def test_splits_are_told_by_their_names(tmp_path: Path, train: str, held_out: str):
    parts = sets_of(
        tmp_path, *(f"{train}/{name}.p" for name in "abc"), f"{held_out}/d.p", f"{held_out}/e.p"
    )
    assert list(parts) == [train]
    part = parts[train]
    assert (part.held_out_path, part.held_out) == (held_out, ("d.p", "e.p"))
    assert len(part.looks) == 5


def test_a_folder_called_test_alone_is_trained_on(tmp_path: Path):
    assert sets_of(tmp_path, "test/a.p", "test/b.p")["test"].names == ("a.p", "b.p")


def test_a_suffix_that_two_read_goes_to_the_surer(tmp_path: Path):
    parts = sets_of(tmp_path, "sweeps/a.both", "sweeps/b.both", "things/c.o")
    assert {path: part.modality for path, part in parts.items()} == {
        "sweeps": "scans",
        "things": "objects",
    }


def test_a_suffix_may_have_two_dots(tmp_path: Path):
    for name in ("a.S.gz", "b.gz"):
        (tmp_path / name).touch()
    found = look_into(tmp_path, INSPECTORS)
    assert [(part.modality, part.names) for part in found.sets] == [("scans", ("a.S.gz",))]
    assert found.others == {".gz": 1}


def test_no_set_holds_files_of_another_variant(tmp_path: Path):
    parts = sets_of(tmp_path, "a/v1.p", "a/more/v1.p", "b/v2.p")
    assert set(parts) == {"a", "b"}
    assert parts["a"].left_out == ""
    assert parts["b"].left_out == "v2, while most pictures files have v1"


def test_broken_files_are_named(tmp_path: Path):
    part = sets_of(tmp_path, "a.p", "bad.p")["."]
    assert part.broken == {"bad.p": f"{tmp_path / 'bad.p'}: is broken"}
    assert len(part.looks) == 1
    alone = sets_of(tmp_path / "alone", "bad.s")["."]
    assert alone.left_out == "none of its files can be read"


def test_large_folders_are_looked_at_in_part(tmp_path: Path):
    part = sets_of(tmp_path, *(f"{number}.p" for number in range(20)), most=5)["."]
    assert (len(part.names), len(part.looks)) == (20, 5)


def test_where_there_is_nothing_to_read_it_says_what_is_read(tmp_path: Path):
    with pytest.raises(DataError, match=r"pictures: \.p; objects: \.both \.o"):
        sets_of(tmp_path, "notes.txt")
    with pytest.raises(DataError, match="no such folder"):
        look_into(tmp_path / "none", INSPECTORS)
