"""What every folder of `modalities/` must keep to: reading, fitting and tokens.

Each property is a test of its own, so that a failure names the folder and the property.
`test_contract_parts.py` has the rest: embedding, position, pictures, bad files.
"""

import dataclasses
import math
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from torch import Tensor

import modalities
from omnimask.commands.diagnosis import _import_names
from omnimask.tokens.modality import Sample, Source, Visit
from tests.modalities.conftest import FOLDERS, MISSING_CASE, Opened, has_case
from tests.modalities.json_records import from_json, to_json
from tests.sync_watch import SyncWatch


def heavy_packages() -> tuple[str, ...]:
    """The import names of everything that an extra of a modality brings, and of some more."""
    pyproject = Path(next(iter(modalities.__path__))).parent / "pyproject.toml"
    extras = tomllib.loads(pyproject.read_text())["project"]["optional-dependencies"]
    (every,) = extras["all"]
    brought = [line for name in sorted(Requirement(every).extras) for line in extras[name]]
    names = _import_names()
    found = {names.get(canonicalize_name(Requirement(line).name)) for line in brought}
    more = {"pytorch3d", "matplotlib", "plotly", "sklearn"}
    return tuple(sorted({name for name in found if name} - {"omnimask"} | more))


def same(a: Any, b: Any) -> bool:
    """Whether two samples, or parts of them, are identical; NaN equals NaN."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and same(a.numpy(), b.numpy())
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        floating = np.issubdtype(a.dtype, np.floating)
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=floating)
    return bool(a == b) or bool(a != a and b != b)


def read(source: Source, index: int, *, key: int, augment: bool) -> Sample:
    return dict(source.read(index, Visit(key=key, augment=augment)))


# The folder


def test_the_folder_has_a_case(folder: str) -> None:
    if not has_case(folder):
        pytest.fail(MISSING_CASE.format(folder=folder), pytrace=False)


def test_the_folder_has_a_readme(folder: str) -> None:
    readme = Path(next(iter(modalities.__path__))) / folder / "README.md"
    assert readme.is_file(), f"write {readme}"


def test_the_readme_names_the_files_that_are_there(folder: str) -> None:
    place = Path(next(iter(modalities.__path__))) / folder
    code = (place / "README.md").read_text().partition("## The code, in the order of reading")[2]
    named = set(re.findall(r"`([a-z_0-9/]+(?:\.py|/))`", code))
    assert all((place / name).exists() for name in named)
    modules = {path.name for path in place.glob("*.py")} - {"__init__.py"}
    rooms = {f"{path.parent.name}/" for path in place.glob("*/__init__.py")}
    assert modules | rooms <= named


def uses_timm(folder: str) -> bool:
    sources = (Path(next(iter(modalities.__path__))) / folder).rglob("*.py")
    return any("import timm" in (text := f.read_text()) or "from timm" in text for f in sources)


# One process imports what all folders may, and then each folder in a fork of its own. timm is
# allowed to those that use it; what it imports by itself (torchvision) is not counted.
IMPORT_EACH = """
import os, sys, torch, omnimask.tokens.modality, omnimask.objectives.targets
*folders, heavy = map(str.split, sys.argv[1:])
for number, names in enumerate(folders):
    if number == 1:
        import timm.layers
    for name in names:
        if os.fork() == 0:
            before = set(sys.modules)
            __import__(f"modalities.{name}")
            tops = {name.partition(".")[0] for name in set(sys.modules) - before}
            print(name, *sorted(tops & set(heavy)), flush=True)
            os._exit(0)
        os.wait()
"""


@pytest.fixture(scope="session")
def heavy_imports() -> dict[str, list[str]]:
    """Of each folder what it imports that is heavy; nothing of a folder that cannot be imported."""
    with_timm = [name for name in FOLDERS if uses_timm(name)]
    without = [name for name in FOLDERS if name not in with_timm]
    arguments = [" ".join(names) for names in (without, with_timm, heavy_packages())]
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, *arguments], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    return {name: heavy for name, *heavy in lines}


def test_importing_the_folder_imports_nothing_heavy(
    folder: str, heavy_imports: dict[str, list[str]]
) -> None:
    assert heavy_imports[folder] == []


# What `adapt` sets where sizes differ from pretraining's, and names of classes for people.
NOT_MEASURED = ("axes", "trained_voxel_m", "trained_range_m", "names")


# Records


def test_fit_measures_every_statistic(opened: Opened) -> None:
    fields = [field.name for field in dataclasses.fields(opened.modality)]  # pyright: ignore[reportArgumentType] a Modality is a dataclass
    missing = [name for name in fields if getattr(opened.modality, name) is None]
    missing = [name for name in missing if name not in NOT_MEASURED]
    assert not missing, f"still None after fit: {missing}"


def test_fit_is_deterministic(opened: Opened) -> None:
    assert opened.case.modality.fit(opened.source) == opened.modality


def test_fit_of_a_fitted_record_reads_nothing(opened: Opened) -> None:
    class Unreadable:
        def __len__(self) -> int:
            return len(opened.source)

        def name(self, index: int, /) -> str:
            raise AssertionError("fit asked for a name although the statistics are known")

        def label(self, index: int, /) -> str | float | None:
            raise AssertionError("fit asked for a label")

        def read(self, index: int, visit: Visit, /) -> Sample:
            raise AssertionError("fit read a sample although the statistics are known")

    assert opened.modality.fit(Unreadable()) == opened.modality


@pytest.mark.parametrize("which", ["modality", "fitted modality", "files"])
def test_record_survives_json(opened: Opened, which: str) -> None:
    records = {
        "modality": opened.case.modality,
        "fitted modality": opened.modality,
        "files": opened.case.files,
    }
    assert from_json(to_json(records[which])) == records[which]


# Reading


def test_source_has_enough_samples_and_two_labels(opened: Opened) -> None:
    assert len(opened.source) >= len(opened.samples)
    labels = {opened.source.label(i) for i in range(len(opened.source))}
    assert len(labels - {None}) >= 2, f"labels {labels}"


def test_names_are_unique_relative_and_stable(opened: Opened) -> None:
    names = [opened.source.name(i) for i in range(len(opened.source))]
    again = opened.case.files.open(str(opened.case.root), opened.modality)
    assert len(set(names)) == len(names)
    assert names == [again.name(i) for i in range(len(again))]
    absolute = [name for name in names if name.startswith("/") or str(opened.case.root) in name]
    assert not absolute, f"names are paths below the root, got {absolute}"


def test_same_key_reads_the_same_sample(opened: Opened) -> None:
    for index in range(len(opened.samples)):
        first = read(opened.source, index, key=11, augment=True)
        assert same(first, read(opened.source, index, key=11, augment=True))


def test_another_key_reads_another_view_where_there_are_views(opened: Opened) -> None:
    centre = read(opened.source, 0, key=0, augment=False)
    views = [read(opened.source, 0, key=key, augment=True) for key in range(8)]
    if all(same(view, centre) for view in views):
        return  # this reader does not augment
    assert not all(same(view, views[0]) for view in views[1:])


def test_without_augmentation_the_key_does_not_matter(opened: Opened) -> None:
    first = read(opened.source, 0, key=1, augment=False)
    assert same(first, read(opened.source, 0, key=2, augment=False))


def test_source_and_samples_can_be_sent_to_a_worker(opened: Opened) -> None:
    sent = pickle.loads(pickle.dumps(opened.source))
    there = pickle.loads(pickle.dumps(read(sent, 1, key=5, augment=True)))
    assert same(there, read(opened.source, 1, key=5, augment=True))


def random_states() -> list[Any]:
    """Without `random`: beartype draws from it to check one item of each sequence."""
    return [torch.get_rng_state(), list(np.random.get_state(legacy=True))]


def test_global_random_state_is_left_alone(opened: Opened) -> None:
    before = random_states()
    samples = [opened.source.read(i, Visit(key=i)) for i in range(2)]
    opened.modality.split(opened.modality.collate(samples))
    assert same(before, random_states())


# Tokens


def test_token_shapes_are_those_of_the_record(opened: Opened) -> None:
    tokens, modality = opened.tokens, opened.modality
    size = (len(opened.samples), modality.num_tokens)
    assert tokens.values.shape == (*size, modality.num_values)
    assert tokens.coords.shape == (*size, len(modality.extent))
    assert tokens.valid.shape == tokens.scorable.shape == size
    assert tokens.valid.dtype == tokens.scorable.dtype == torch.bool
    assert tokens.values.is_floating_point()
    assert tokens.coords.is_floating_point()


def test_grid_is_that_of_the_record(opened: Opened) -> None:
    tokens, modality = opened.tokens, opened.modality
    assert (tokens.grid is None) == (modality.grid is None)
    if tokens.grid is not None and modality.grid is not None:
        assert list(tokens.grid) == list(modality.grid)
        assert math.prod(tokens.grid.values()) == modality.num_tokens


def test_counts_are_the_row_sums_of_the_flags(opened: Opened) -> None:
    tokens = opened.tokens
    assert list(tokens.num_valid) == tokens.valid.sum(dim=1).tolist()
    assert list(tokens.num_scorable) == tokens.scorable.sum(dim=1).tolist()
    assert {type(count) for count in tokens.num_valid + tokens.num_scorable} == {int}


def test_every_sample_has_a_valid_token(opened: Opened) -> None:
    assert min(opened.tokens.num_valid) > 0


def test_valid_tokens_are_all_scorable_or_none(opened: Opened) -> None:
    tokens = opened.tokens
    assert not tokens.scorable.any() or bool(tokens.scorable[tokens.valid].all())


def test_values_and_coords_are_finite_everywhere(opened: Opened) -> None:
    assert opened.tokens.values.isfinite().all()
    assert opened.tokens.coords.isfinite().all()


def test_coords_lie_about_within_the_extent(opened: Opened) -> None:
    tokens, extent = opened.tokens, torch.tensor(opened.modality.extent)
    assert (extent > 0).all()
    coords = tokens.coords[tokens.valid | tokens.scorable].float()
    length = coords.amax(dim=0) - coords.amin(dim=0)
    assert (length <= 1.5 * extent).all(), f"coords span {length} of extent {extent}"
    assert (coords.abs() <= 1.5 * extent).all(), f"coords reach {coords.abs().amax(dim=0)}"


def test_split_never_waits_for_the_device(opened: Opened) -> None:
    with SyncWatch() as watch:
        opened.modality.split(opened.raw)
    assert not watch.waits, watch.report()


def test_split_copies_nothing_from_the_host(opened: Opened) -> None:
    """On a GPU `torch.tensor(...)` is a blocking copy: fill by number, or put it into raw."""
    with SyncWatch() as watch:
        opened.modality.split(opened.raw)
    assert not watch.host_copies, watch.report()


def test_split_leaves_raw_alone(opened: Opened) -> None:
    copy = {k: v.clone() if isinstance(v, Tensor) else v for k, v in opened.raw.items()}
    opened.modality.split(opened.raw)
    assert same(dict(opened.raw), copy)


def test_a_sample_alone_gives_the_tokens_it_has_in_the_batch(opened: Opened) -> None:
    for i, sample in enumerate(opened.samples):
        alone = opened.modality.split(opened.modality.collate([sample]))
        assert torch.equal(alone.valid[0], opened.tokens.valid[i]), f"valid of sample {i}"
        assert torch.equal(alone.scorable[0], opened.tokens.scorable[i]), f"scorable of sample {i}"
        asked = alone.valid[0] | alone.scorable[0]
        for part in ("values", "coords"):
            one, batched = getattr(alone, part)[0], getattr(opened.tokens, part)[i]
            torch.testing.assert_close(
                one[asked], batched[asked], msg=lambda text, i=i, part=part: f"{part} {i}: {text}"
            )


def test_join_is_the_inverse_of_split(opened: Opened) -> None:
    assert opened.case.round_trip_tolerance, "list at least one raw entry to compare"
    joined = opened.modality.join(opened.tokens.values, opened.raw)
    for entry, tolerance in opened.case.round_trip_tolerance.items():
        before, after = opened.raw[entry], joined[entry]
        assert isinstance(before, Tensor)
        assert isinstance(after, Tensor)
        assert after.shape == before.shape, entry
        gap = (after.double() - before.double()).abs().nan_to_num().max().item()
        assert gap <= tolerance, f"{entry} differs by {gap:.3g}, allowed {tolerance:.3g}"


def test_join_takes_the_content_from_the_values(opened: Opened) -> None:
    """A `join` that gave back its `raw` would pass the round trip."""
    joined = opened.modality.join(torch.zeros_like(opened.tokens.values), opened.raw)
    entries = opened.case.round_trip_tolerance
    assert any(not same(joined[entry], opened.raw[entry]) for entry in entries)
