"""`omnimask demo`: every modality of a mixed run, looked at in Python and over HTTP."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omnimask.commands.main import main
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.report.demo.looking import Asked, Demo
from tests.recipes.catalogue import load
from tests.recipes.test_impute_command import first, save_run

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "image": ("images", ".png"),
    "video": ("video", ".mp4"),
    "audio": ("audio", ".wav"),
    "points": ("points", ""),
    "voxels": ("voxels", ""),
    "table": ("tables", "breast_cancer.csv"),
}


@pytest.fixture(scope="module")
def run(few_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = load("recipes.omni:debug", few_files)
    return save_run(recipe, tmp_path_factory.mktemp("demo") / "run")


@pytest.fixture(scope="module")
def demo(run: Path) -> Demo:
    return Demo(run)


@pytest.mark.parametrize("modality", FILES)
def test_a_file_has_its_mask_its_reconstruction_and_its_neighbours(
    modality: str, demo: Demo, few_files: Path
):
    kind, suffix = FILES[modality]
    path = next(
        path
        for path in sorted((few_files / kind / "held_out").rglob(f"*{suffix}"))
        if path.suffix in demo.readings[modality].suffixes
    )
    (seen,) = demo.see(path, Asked(modality=modality))
    assert seen.modality == modality
    pictures = [picture for picture, _ in seen.panels]
    if len(pictures) == 3:
        assert not np.array_equal(pictures[0], pictures[1]), "something is hidden"
        assert not np.array_equal(pictures[1], pictures[2]), "and filled in"
    else:  # a row is drawn as one list of its cells
        assert modality == "table"
    ratio = demo.ratio_of(modality)
    assert ratio is not None
    assert seen.hidden == pytest.approx(ratio, abs=0.1)
    nearest = seen.neighbours[0]
    assert nearest.similarity > 0.99, "it is among the held-out samples itself"
    assert [x.similarity for x in seen.neighbours] == sorted(
        (x.similarity for x in seen.neighbours), reverse=True
    )
    assert nearest.picture.size > 0
    assert Path(nearest.name.partition("#")[0]).stem in path.stem


def test_the_share_and_the_number_of_a_mask_are_asked_for(demo: Demo, few_files: Path):
    path = first(few_files, "images", ".png")
    shares = [demo.see(path, Asked(ratio=ratio))[0].hidden for ratio in (0.3, 0.9)]
    assert shares == pytest.approx([0.3, 0.9], abs=0.05)
    shown = [demo.see(path, Asked(seed=seed))[0].panels[1][0] for seed in (0, 0, 1)]
    assert np.array_equal(shown[0], shown[1])
    assert not np.array_equal(shown[0], shown[2])


def test_a_sample_of_the_run_shows_all_its_modalities_and_is_not_its_own_neighbour(demo: Demo):
    paired = demo.see_own("video+audio", 0, Asked())
    assert [seen.modality for seen in paired] == ["video", "audio"]
    assert ("video+audio", 0) in demo.own_samples
    (seen,) = demo.see_own("image", 0, Asked())
    assert seen.name not in [hit.name for hit in seen.neighbours]


def test_what_cannot_be_looked_at_is_said(demo: Demo, few_files: Path, tmp_path: Path):
    (tmp_path / "a.xyzzy").write_text("nothing")
    with pytest.raises(DataError, match=r"no modality .* reads files \.xyzzy"):
        demo.see(tmp_path / "a.xyzzy", Asked())
    with pytest.raises(DataError, match=r"breast_cancer\.csv has the rows 0 to .*, got 99999"):
        demo.see(first(few_files, "tables", "breast_cancer.csv"), Asked(row=99999))


def test_a_recipe_that_predicts_features_has_a_mask_and_says_why_no_more(
    few_files: Path, tmp_path: Path
):
    demo = Demo(save_run(load("recipes.vjepa:debug", few_files), tmp_path / "run"))
    ((seen, *_), *_) = [demo.see_own(*demo.own_samples[0], Asked())]
    assert [role for _, role in seen.panels] == ["original", "visible"]
    assert any("features of a teacher" in note for note in seen.notes)
    assert demo.ratio_of(seen.modality) is None
    with pytest.raises(RecipeError, match="does not draw by a ratio"):
        demo.see_own(*demo.own_samples[0], Asked(ratio=0.5))


# In a process of its own, whose loops and sockets end with it.
ASK = """
import json, sys
from pathlib import Path
from gradio_client import Client, handle_file
from omnimask.report.demo.looking import Demo
from omnimask.report.demo.page import serve

client = Client(serve(Demo(Path(sys.argv[1])), host="127.0.0.1", port=None, wait=False))
said = ("by the file's suffix", 0, False, 0.9, 0)
look = lambda *chosen: client.predict(*chosen, *said, api_name="/look")
answers = [look(handle_file(sys.argv[2]), None), look(None, "points 0")]
try:
    look(None, None)
except Exception as error:
    answers.append(str(error))
print("ANSWERS", json.dumps(answers), flush=True)
"""


def test_the_page_answers_over_http(run: Path, few_files: Path, tmp_path: Path):
    path = shutil.copy(first(few_files, "images", ".png"), tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(run), str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    (words, pictures, scene, near), (_, _, turned, _), refused = json.loads(line[8:])
    hidden = re.match(r"\*\*image\*\*: a\.png, (\d+) % of its tokens hidden", words)
    assert hidden is not None, words
    assert 85 <= int(hidden[1]) <= 95
    assert "own mean and deviation" in words, "what the reconstruction uses of the original"
    assert [picture["caption"] for picture in pictures] == ["original", "visible", "reconstruction"]
    assert len(near) == 5
    assert scene == ""
    assert "srcdoc=" in turned
    assert "requestAnimationFrame" in turned, "the script that turns it"
    assert "drop a file, or take a sample" in refused


def test_gradio_is_named_when_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo", str(tmp_path)]) == 2
    assert "omnimask demo needs gradio" in capsys.readouterr().err
