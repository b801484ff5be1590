"""`omnimask inspect` and `pretrain --data` on real files of all modalities."""

import importlib.util
from pathlib import Path

import pytest
import torch

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
