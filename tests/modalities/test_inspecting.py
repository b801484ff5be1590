"""`omnimask inspect` and `pretrain --data` on real files of all modalities."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from modalities.series import SeriesFiles, SeriesPatches
from modalities.volume import VolumePatches
from omnimask.commands.main import main
from omnimask.foundation.errors import DataError
from omnimask.inspection.choice import Choice, budget_of, choose
from omnimask.inspection.folder import Found, look_into
from omnimask.inspection.inspectors import find_inspectors
from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import last_checkpoint, load_recipe
from recipes.sample_modalities import SAMPLE_MODALITIES

INSPECTORS = find_inspectors()
SAMPLES = {("series" if n == "skeleton" else n): r for n, r in SAMPLE_MODALITIES.items()}
FEW = ["--set", "optim.steps=2", "--set", "optim.warmup_steps=1", "--set", "run.report=False"]


@pytest.fixture(scope="module")
def found(sample_data: Path) -> Found:
    return look_into(sample_data, INSPECTORS, most=12)


@pytest.fixture(scope="module")
def choice(found: Found) -> Choice:
    return choose(found, INSPECTORS, budget_of(torch.device("cpu")))


@pytest.fixture
def mixed(sample_data: Path, tmp_path: Path) -> Path:
    """Pictures in folders by label, one of them broken, and sounds."""
    root = tmp_path / "things"
    for part, count in (("images", 3), ("audio", 2)):
        for label in sorted((sample_data / part / "train").iterdir())[:2]:
            (root / part / label.name).mkdir(parents=True)
            for path in sorted(label.iterdir())[:count]:
                (root / part / label.name / path.name).write_bytes(path.read_bytes())
    whole = next((root / "images").rglob("*.png"))
    whole.with_name("broken.png").write_bytes(whole.read_bytes()[:60])
    return root


def test_every_modality_is_found_with_its_split_and_labels(found: Found, sample_data: Path):
    by_path = {part.path: part for part in found.sets}
    for name, record in SAMPLES.items():
        part = by_path[f"{record.folder}/train"]
        assert (part.modality, part.broken, part.left_out) == (name, {}, "")
        assert part.held_out_path == f"{record.folder}/held_out"
        if name != "table":
            labels = {path.name for path in (sample_data / part.path).iterdir()}
            assert set(part.labels) == labels


def test_masks_and_losses_are_those_of_the_papers(choice: Choice):
    """As the recipes have them, which say where in the papers they stand."""
    recipe = choice.recipe
    assert {m.name for m in recipe.modalities} == set(SAMPLES)
    for name, record in SAMPLES.items():
        assert vars_of(recipe, name) == (record.masker, record.content)


def vars_of(recipe: Recipe, name: str) -> tuple[object, object]:
    masks = getattr(recipe.masker, "masks")  # noqa: B009 a PerModality
    content = tuple(
        (o.name.removeprefix(f"{name}_"), o.target, o.loss)
        for o in recipe.objectives
        if o.modality == name
    )
    return masks[name], content


ARRAYS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "a cloud": ("points", {"xyz": (200, 3)}),
    "a skeleton": ("series", {"array": (40, 15, 3)}),
    "a scan": ("volume", {"array": (9, 20, 20)}),
    "a scan of two channels": ("volume", {"array": (2, 9, 20, 20)}),
    "a thin scan": ("volume", {"scan": (3, 20, 20), "spacing_mm": (3,)}),
    "a recording": ("series", {"series": (50, 6)}),
    "a recording with times": ("series", {"numbers": (50, 6), "time_s": (50,)}),
    "rows of numbers": ("points", {"array": (64, 45)}),
    "a picture": ("points", {"array": (3, 20, 20)}),
    "numbers": ("points", {"array": (64,)}),
    "other arrays": ("points", {"first": (64, 45), "second": (64,)}),
}
"""By what a file holds: whose it is, and the shapes in it. Points have what is not clear."""


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_go_to_the_modality_that_has_such_shapes(tmp_path: Path, name: str):
    kind, shapes = ARRAYS[name]
    values = {key: np.sort(np.random.default_rng(0).random(shape)) for key, shape in shapes.items()}
    if "array" in values:
        np.save(tmp_path / "a.npy", values["array"])
    else:
        np.savez(tmp_path / "a.npz", **values)  # pyright: ignore[reportArgumentType] arrays by name
    (part,) = look_into(tmp_path, INSPECTORS).sets
    assert part.modality == kind


EVEN, UNEVEN = np.arange(30) / 50, np.arange(30) ** 2 / 50
BODY = [f"{joint}_{axis}" for joint in ("hip", "knee", "foot", "hand", "head") for axis in "xy"]


@pytest.mark.parametrize(
    ("kind", "names", "times"),
    [
        ("series", ["seconds", "volts"], EVEN),
        ("series", BODY, None),
        ("table", ["seconds", "volts"], UNEVEN),
        ("table", ["seconds", "volts", "label"], EVEN),
        ("table", ["from_x", "from_y", "to_x", "to_y"], None),
        ("table", ["volts", "amperes"], None),
        ("table", ["time", "volts"], None),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_recordings_where_that_is_clear(
    tmp_path: Path, kind: str, names: Sequence[str], times: np.ndarray | None, suffix: str
):
    frame = pd.DataFrame(np.random.default_rng(0).random((30, len(names))), columns=list(names))
    if times is not None:
        frame["seconds"] = times
    path = tmp_path / f"a{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    (part,) = look_into(tmp_path, INSPECTORS).sets
    assert (part.modality, part.broken) == (kind, {})


def test_sizes_follow_thin_scans_and_short_recordings(tmp_path: Path):
    budget = budget_of(torch.device("cpu"))

    def proposed(kind: str) -> tuple[object, object]:
        (part,) = look_into(tmp_path / kind, INSPECTORS).sets
        modality = INSPECTORS[part.modality].propose(part.looks, budget).modality
        return modality, INSPECTORS[part.modality].files(".", part.looks, modality)

    for kind in ("scans", "bodies", "sensors"):
        (tmp_path / kind).mkdir()
    np.save(tmp_path / "scans" / "a.npy", np.ones((6, 20, 40)))
    np.save(tmp_path / "bodies" / "a.npy", np.ones((5, 9, 3)))
    sensors = pd.DataFrame({"seconds": EVEN, "volts": np.sin(EVEN)})
    sensors.to_csv(tmp_path / "sensors" / "a.csv", index=False)
    assert proposed("scans")[0] == VolumePatches(size=(6, 16, 32), patch=(6, 8, 8))
    assert proposed("bodies") == (
        SeriesPatches(num_steps=5, num_joints=9, num_channels=3, patch=5),
        SeriesFiles(origin=0),
    )
    assert proposed("sensors") == (
        SeriesPatches(num_steps=24, num_channels=1, patch=8, rate_hz=50.0),
        SeriesFiles(time_column="seconds"),
    )


def test_clips_and_their_sound_are_one_stream(choice: Choice):
    (clips,) = (s for s in choice.recipe.data.streams if "video" in s.files)
    assert set(clips.files) == {"video", "audio"}
    assert clips.held_out is not None


def test_sizes_on_a_large_device_are_at_most_those_of_the_papers(found: Found):
    cpu = budget_of(torch.device("cpu"))
    for part in found.sets:
        inspector = INSPECTORS[part.modality]
        small = inspector.propose(part.looks, cpu).modality
        large = inspector.propose(part.looks, type(cpu)(**{**_fields(cpu), "large": True})).modality
        published = SAMPLES[part.modality].published
        if part.modality == "table":
            assert small == large == published
        else:
            assert 1 <= small.num_tokens <= max(large.num_tokens, 4 * small.num_tokens)
            assert large.num_tokens <= max(published.num_tokens, 300)


def _fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in type(record).__slots__}  # pyright: ignore[reportAttributeAccessIssue] a record has slots


def test_pretrain_without_a_recipe_writes_one_that_runs(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file, run = tmp_path / "mine.py", tmp_path / "run"
    command = ["pretrain", "--data", str(mixed), "--out", str(run), *FEW]
    assert main([*command, "--write", str(file)]) == 0
    said = capsys.readouterr().out
    assert "broken.png" in said
    assert file.read_text() in said
    spec = importlib.util.spec_from_file_location("mine_for_things", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    chosen = module.mine()
    trained = load_recipe(last_checkpoint(run))
    assert trained.objectives == chosen.objectives
    assert trained.data == chosen.data
    assert {stream.name for stream in chosen.data.streams} == {"image", "audio"}
    assert main([*command[:3], "--set", "data.max_bad_files=0", "--dry-run"]) == 2
    assert "broken.png" in capsys.readouterr().err  # among those that statistics are measured on
    assert main([*command, "--write", str(file)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_inspect_says_what_there_is_and_draws_it(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    page = tmp_path / "page.html"
    assert main(["inspect", str(mixed), "--out", str(page)]) == 0
    said = capsys.readouterr().out
    for text in ("images: 7 image files", "2 folders: ", "broken: 1", "visible", "rate (Hz)"):
        assert text in said
    html = page.read_text()
    for text in ("data:image/png;base64,", "broken.png", "def mine()", "RandomMask(ratio=0.75)"):
        assert text in html


def test_wrong_requests_say_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["pretrain"]) == 2
    assert "--data FOLDER" in capsys.readouterr().err
    assert main(["pretrain", "recipes.mae:debug", "--write", "x.py"]) == 2
    assert "--write is for a recipe that is chosen" in capsys.readouterr().err
    (tmp_path / "a.png").write_bytes(b"nothing")
    found = look_into(tmp_path, INSPECTORS)
    with pytest.raises(DataError, match="none of its files can be read"):
        choose(found, INSPECTORS, budget_of(torch.device("cpu")))
