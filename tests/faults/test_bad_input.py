"""What a user sees who gives the command line something wrong: one line that names it."""

import contextlib
import io
import shutil
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omnimask.commands.main import main

pytestmark = pytest.mark.slow


def run(*arguments: str, recipe: str = "recipes.omni:debug") -> tuple[int, str]:
    """Exit status and error output of the command."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        status = main(["pretrain", recipe, *arguments])
    return status, errors.getvalue()


def empty(folder: Path, sample: Path) -> Path:
    path = folder / "empty.png"
    path.touch()
    return path


def text_named_jpg(folder: Path, sample: Path) -> Path:
    path = folder / "notes.jpg"
    path.write_text("not a picture")
    return path


def truncated_mp4(folder: Path, sample: Path) -> Path:
    whole = next((sample / "video/train").rglob("*.mp4")).read_bytes()
    path = folder / "half.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    return path


def silent_wav(folder: Path, sample: Path) -> Path:
    path = folder / "nothing.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
    return path


def ply_with_nan(folder: Path, sample: Path) -> Path:
    points = np.random.default_rng(0).normal(size=(600, 3))
    points[7, 1] = np.nan
    header = "ply\nformat ascii 1.0\nelement vertex 600\n"
    header += "".join(f"property float {axis}\n" for axis in "xyz") + "end_header\n"
    path = folder / "broken.ply"
    path.write_text(header + "\n".join(" ".join(map(str, row)) for row in points) + "\n")
    return path


BAD = [
    ("image", empty),
    ("image", text_named_jpg),
    ("video", truncated_mp4),
    ("audio", silent_wav),
    ("points", ply_with_nan),
]


@pytest.mark.parametrize(("modality", "write"), BAD, ids=lambda v: getattr(v, "__name__", v))
def test_a_bad_file_is_named(
    modality: str, write: Callable[[Path, Path], Path], sample_data: Path, tmp_path: Path
):
    folder = tmp_path / "files"
    folder.mkdir()
    bad = write(folder, sample_data)
    status, errors = run(
        f"--out={tmp_path / 'run'}",
        f"--set=data.root={sample_data}",
        f"--set=data.streams.{modality}.files.{modality}.path={folder}",
    )
    assert status == 2
    assert bad.name in errors
    assert "Traceback" not in errors


def test_a_column_of_one_value_trains(sample_data: Path, tmp_path: Path):
    folder = tmp_path / "tables"
    folder.mkdir()
    rows = "\n".join(f"{i % 7},3.5,{'ab'[i % 2]}" for i in range(40))
    (folder / "flat.csv").write_text(f"height,constant,target\n{rows}\n")
    status, errors = run(
        f"--out={tmp_path / 'run'}",
        f"--set=data.root={sample_data}",
        f"--set=data.streams.table.files.table.path={folder}",
        recipe="recipes.remasker:debug",
    )
    assert status == 0, errors
    assert "nan" not in (tmp_path / "run/metrics.jsonl").read_text().lower()


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optim.leraning_rate=1", "the recipe has no 'optim.leraning_rate'"),
        ("masker.masks.image.ratio=75", "mask ratio must be in (0, 1), got 75"),
        ("data.root=/nowhere", "/nowhere"),
    ],
)
def test_a_wrong_setting_is_named(assignment: str, message: str, tmp_path: Path):
    status, errors = run(f"--out={tmp_path / 'run'}", f"--set={assignment}")
    assert status == 2
    assert message in errors


def test_the_folder_of_another_recipe_is_refused(sample_data: Path, tmp_path: Path):
    out, root = f"--out={tmp_path / 'run'}", f"--set=data.root={sample_data}"
    assert run(out, root, recipe="recipes.mae:debug")[0] == 0
    status, errors = run(out, root, "--set=optim.lr=0.5", recipe="recipes.mae:debug")
    assert status == 2
    assert "optim.lr: 0.001 -> 0.5" in errors


def test_an_unknown_recipe_names_the_nearest(capsys: pytest.CaptureFixture[str]):
    assert main(["pretrain", "recipes.omni:quikstart"]) == 2
    assert "did you mean quickstart" in capsys.readouterr().err


def test_a_bad_file_among_good_ones_is_listed_and_replaced(sample_data: Path, tmp_path: Path):
    folder = tmp_path / "images"
    shutil.copytree(sample_data / "images/train", folder)
    for number in range(3):
        (folder / f"bad-{number}.jpg").write_text("not a picture")
    status, errors = run(
        f"--out={tmp_path / 'run'}",
        f"--set=data.root={sample_data}",
        f"--set=data.streams.image.files.image.path={folder}",
        "--set=data.max_bad_files=3",
        "--set=modalities.image.mean=(0.5,0.5,0.5)",
        "--set=modalities.image.std=(0.25,0.25,0.25)",
        "--set=optim.steps=50",  # of four samples: more than an epoch
        recipe="recipes.mae:debug",
    )
    assert status == 0, errors
    assert "bad-0.jpg" in (tmp_path / "run/bad_files.jsonl").read_text()
