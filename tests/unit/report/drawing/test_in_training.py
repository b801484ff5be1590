"""What goes to the tracker while training, pictures included."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from omnimask.commands.pretrain import train
from omnimask.foundation.errors import RecipeError
from omnimask.recipe.recipe import Recipe
from tests.unit.runs import assert_same_weights
from tests.unit.toy_recipe import toy_recipe

ROOT = Path(__file__).resolve().parents[4]


def drawing(every: int) -> Recipe:
    """Branches are dropped in training mode alone, so that a mode left behind shows."""
    recipe = toy_recipe()
    return replace(
        recipe,
        encoder=replace(recipe.encoder, drop_path=0.3),
        optim=replace(recipe.optim, steps=3),
        run=replace(recipe.run, tracker="tensorboard", pictures_every=every, report_samples=1),
    )


def test_pictures_are_in_the_tracker_and_change_nothing(tmp_path: Path):
    train(drawing(0), tmp_path / "without")
    train(drawing(2), tmp_path / "with")
    assert_same_weights(tmp_path / "without", tmp_path / "with")
    events = EventAccumulator(str(tmp_path / "with" / "tensorboard"))
    events.Reload()
    names = {"toy", "other", "both/toy", "both/other"}
    assert set(events.Tags()["images"]) == {f"reconstructions/{name}" for name in names}
    pictures = events.Images("reconstructions/both/toy")
    assert [picture.step for picture in pictures] == [2, 3]
    assert pictures[0].encoded_image_string != pictures[1].encoded_image_string
    assert pictures[0].width > pictures[0].height > 10


NUMBERS = ("loss/toy_content", "variance/toy", "rank/toy", "tokens_per_s", "data_wait", "probe/toy")
NAMES = ("reconstructions/toy", "reconstructions/both/toy")


def tracked(tracker: str, steps: int) -> Recipe:
    recipe = drawing(2)
    return replace(
        recipe,
        name="toys",
        optim=replace(recipe.optim, steps=steps),
        run=replace(recipe.run, tracker=tracker, probe_every=2, log_every=1),
    )


def test_wandb_has_numbers_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(tracked("wandb", 2), tmp_path / "run")
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    (log,) = folder.glob("*.wandb")
    assert log.stem == f"run-{(tmp_path / 'run' / 'tracker-id.txt').read_text().strip()}"
    deadline = time.monotonic() + 60  # wandb's service may write when the run has ended
    while missing := [name for name in NUMBERS if name.encode() not in log.read_bytes()]:
        assert time.monotonic() < deadline, missing
        time.sleep(0.5)
    assert b"toys" in log.read_bytes()
    for name in NAMES:
        assert list((folder / "files" / "media" / "images").glob(f"{name}_2_*.png"))


def test_trackio_has_numbers_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from omnimask.commands.pretrain import train\n"
        "from omnimask.foundation.trust import trust\n"
        "from tests.unit.report.drawing.test_in_training import tracked\n"
        "trust('tests')\n"
        "train(tracked('trackio', 2), Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (database,) = (tmp_path / "trackio").rglob("*.db")
    content = database.read_bytes()
    assert [name for name in NUMBERS if name.encode() not in content] == []
    assert len(list((tmp_path / "trackio").rglob("*.png"))) == 4


@pytest.mark.parametrize("tracker", ["wandb", "trackio"])
def test_a_tracker_that_is_missing_is_named(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, tracker, None)
    with pytest.raises(RecipeError, match=rf"run\.tracker={tracker}.*'omnimask\[{tracker}\]'"):
        train(tracked(tracker, 2), tmp_path / "run")
    assert not (tmp_path / "run").exists()
