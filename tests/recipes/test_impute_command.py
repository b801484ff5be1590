"""`omnimask impute` on files of every modality, from one mixed run."""

import csv
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from omnimask.commands.main import main
from omnimask.data.point_files import read_ply
from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import Checkpoint
from omnimask.training.checkpoint_writer import save_checkpoint
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from omnimask.transfer.encoder_folder import save_encoder
from omnimask.transfer.loading import load_encoder
from tests.recipes.catalogue import load


def save_run(recipe: Recipe, folder: Path) -> Path:
    """A run folder with random weights."""
    recipe = fit(recipe)
    torch.manual_seed(0)
    weights = build_model(recipe).state_dict()
    state = {"step": 0, "samples_seen": {}}
    save_checkpoint(
        folder, Checkpoint(recipe=recipe, weights=weights, optimizer={}, state=state), keep=1
    )
    return folder


@pytest.fixture(scope="module")
def run(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(load("recipes.omni:debug", sample_data), tmp_path_factory.mktemp("mixed"))


def first(sample_data: Path, kind: str, suffix: str) -> Path:
    return sorted((sample_data / kind / "held_out").rglob(f"*{suffix}"))[0]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path / "picture.png"
    Image.fromarray(random.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    hidden = np.zeros((50, 70), dtype=np.uint8)
    hidden[10:30, 20:60] = 255
    path = tmp_path / "mask.png"
    Image.fromarray(hidden).save(path)
    return path


def impute(run: Path, path: Path, out: Path, *more: object) -> int:
    return main(["impute", str(run), str(path), "--out", str(out), *map(str, more)])


def test_hidden_pixels_are_filled_and_all_others_kept(
    run: Path, picture: Path, mask: Path, tmp_path: Path, capsys
):
    assert impute(run, picture, tmp_path / "out.png", "--mask", mask) == 0
    assert "taken from the nearest visible tokens" in capsys.readouterr().out
    hidden = np.array(Image.open(mask)) > 0
    before, after = (np.array(Image.open(p)) for p in (picture, tmp_path / "out.png"))
    assert before.shape == after.shape
    assert np.array_equal(before[~hidden], after[~hidden])
    assert (before[hidden] != after[hidden]).mean() > 0.9


def test_nothing_of_a_hidden_pixel_reaches_the_result(
    run: Path, picture: Path, mask: Path, tmp_path: Path
):
    impute(run, picture, tmp_path / "out.png", "--mask", mask)
    pixels, hidden = np.array(Image.open(picture)), np.array(Image.open(mask)) > 0
    pixels[hidden] = 255 - pixels[hidden]
    Image.fromarray(pixels).save(tmp_path / "other.png")
    impute(run, tmp_path / "other.png", tmp_path / "other-out.png", "--mask", mask)
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "other-out.png").read_bytes()


def test_a_ratio_hides_that_share_and_a_box_its_pixels(run: Path, picture: Path, tmp_path: Path):
    before = np.array(Image.open(picture))
    impute(run, picture, tmp_path / "a.png", "--ratio", 0.5)
    changed = (np.array(Image.open(tmp_path / "a.png")) != before).any(axis=2)
    assert changed.mean() == pytest.approx(0.5, abs=0.03)
    impute(run, picture, tmp_path / "b.png", "--hide-box", "5,10,25,30")
    outside = (np.array(Image.open(tmp_path / "b.png")) != before).any(axis=2)
    assert outside[10:30, 5:25].mean() > 0.9
    outside[10:30, 5:25] = False
    assert not outside.any()


def test_a_clip_keeps_visible_pixels_exactly(run: Path, sample_data: Path, tmp_path: Path):
    import av

    from modalities.video.imputing import _read_clip
    from omnimask.transfer.imputing import Hide
    from omnimask.transfer.loading import load_model

    path = first(sample_data, "video", ".mp4")
    assert impute(run, path, tmp_path / "out.mp4", "--hide-seconds", "0.5-0.8") == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        after = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    model = load_model(run)
    files = model.recipe.data.streams[1].files["video"]
    frames, times_s = _read_clip(path, model.modalities["video"], files, Hide(seconds=(0.5, 0.8)))
    before = frames.permute(0, 2, 3, 1).numpy()
    visible = (times_s < 0.5) | (times_s >= 0.8)
    assert 0 < visible.sum() < len(visible)
    assert np.array_equal(before[visible], after[visible])
    assert (before[~visible] != after[~visible]).mean() > 0.5


def test_a_sound_keeps_visible_samples_exactly(run: Path, sample_data: Path, tmp_path: Path):
    path = first(sample_data, "audio", ".wav")
    sounds = {}
    for name, part in (("a", "0.4-0.6"), ("b", "0.3-0.7")):
        assert impute(run, path, tmp_path / f"{name}.wav", "--hide-seconds", part) == 0
        with wave.open(str(tmp_path / f"{name}.wav")) as file:
            rate = file.getframerate()
            sounds[name] = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
    assert len(sounds["a"]) == len(sounds["b"])
    # Both windows are around 0.5 s, so that what both show is the same sound.
    same = sounds["a"] == sounds["b"]
    assert 1.0 - same.mean() <= 0.45 * rate / len(same)
    assert not same[np.flatnonzero(~same)[0] :].all()


def test_clouds_keep_visible_points_exactly(run: Path, sample_data: Path, tmp_path: Path):
    cloud = first(sample_data, "points", ".ply")
    options = ("--modality", "points")
    assert impute(run, cloud, tmp_path / "all.ply", "--ratio", 0.5, *options) == 0
    table, _ = read_ply(tmp_path / "all.ply")
    assert 0 < table["predicted"].sum() < len(table["predicted"])
    read, _ = read_ply(cloud)
    own = set(zip(*(read[axis].tolist() for axis in "xyz")))
    kept = table["predicted"] == 0
    assert set(zip(*(table[axis][kept].tolist() for axis in "xyz"))) <= own


def test_sweeps_keep_every_point_outside_of_the_box(run: Path, sample_data: Path, tmp_path: Path):
    sweep = first(sample_data, "voxels", ".npy")
    points = np.load(sweep)[:, :3].astype(np.float32)
    options = ("--modality", "voxels", "--hide-box=-5,-5,-3,5,5,3")
    assert impute(run, sweep, tmp_path / "out.ply", *options) == 0
    table, _ = read_ply(tmp_path / "out.ply")
    kept = np.stack([table[axis][table["predicted"] == 0] for axis in "xyz"], axis=1)
    inside = ((points >= [-5, -5, -3]) & (points <= [5, 5, 3])).all(axis=1)
    assert np.array_equal(kept, points[~inside])
    added = np.stack([table[axis][table["predicted"] == 1] for axis in "xyz"], axis=1)
    assert ((added >= [-5, -5, -3]) & (added <= [5, 5, 3])).all()


def test_tables_of_the_run_are_filled(run: Path, sample_data: Path, tmp_path: Path, capsys):
    table = sample_data / "tables" / "held_out" / "diabetes.csv"
    assert impute(run, table, tmp_path / "out.csv", "--draws", 2) == 0
    rows = list(csv.reader((tmp_path / "out.csv").read_text().splitlines()))
    assert all(cell for row in rows for cell in row)
    assert "filled" in capsys.readouterr().out
    assert (tmp_path / "out.uncertainty.csv").exists()


def test_an_encoder_alone_cannot_reconstruct(run: Path, picture: Path, tmp_path: Path, capsys):
    folder = save_encoder(load_encoder(run), tmp_path / "encoder")
    assert impute(folder, picture, tmp_path / "out.png", "--ratio", 0.5) == 2
    assert "holds an encoder only, which cannot reconstruct" in capsys.readouterr().err


def test_what_cannot_be_done_is_said(
    run: Path, picture: Path, mask: Path, sample_data: Path, tmp_path: Path, capsys
):
    def error(path: Path, out: str, *more: object) -> str:
        assert impute(run, path, tmp_path / out, *more) == 2
        return capsys.readouterr().err

    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((20, 70), dtype=np.uint8)).save(small)
    assert "mask has 70 × 20 pixels, what it is for has 70 × 50" in error(
        picture, "out.png", "--mask", small
    )
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((50, 70), dtype=np.uint8)).save(black)
    assert "nothing of the image is hidden" in error(picture, "out.png", "--mask", black)
    assert "every token of the image is hidden" in error(
        picture, "out.png", "--hide-box", "0,0,70,50"
    )
    assert "say what of this picture is hidden" in error(picture, "out.png")
    assert "said in one way" in error(picture, "out.png", "--mask", mask, "--ratio", 0.5)
    assert "seconds cannot say what" in error(picture, "out.png", "--hide-seconds", "0-1")
    assert "end the name in .png" in error(picture, "out.jpg", "--ratio", 0.5)
    assert "is the file itself" in error(picture, "picture.png", "--ratio", 0.5)
    cloud = first(sample_data, "points", ".ply")
    assert "say --modality" in error(cloud, "out.ply", "--ratio", 0.5)
    assert "does not exist" in error(tmp_path / "no.png", "out.png", "--ratio", 0.5)
    table = sample_data / "tables" / "held_out" / "iris.csv"
    assert "leave out ratio" in error(table, "out.csv", "--ratio", 0.5)


def test_a_modality_that_the_run_never_saw(
    sample_data: Path, picture: Path, tmp_path: Path, capsys
):
    run = save_run(load("recipes.remasker:debug", sample_data), tmp_path / "run")
    assert impute(run, picture, tmp_path / "out.png", "--ratio", 0.5) == 2
    said = capsys.readouterr().err
    assert "has never seen such files: table reads .csv .tsv .parquet .pq" in said


def test_a_teachers_features_restore_nothing(
    sample_data: Path, picture: Path, tmp_path: Path, capsys
):
    recipe = load("recipes.vjepa:debug", sample_data)
    names = [modality.name for modality in recipe.modalities]
    run = save_run(replace(recipe), tmp_path / "run")
    path = picture if "image" in names else first(sample_data, "video", ".mp4")
    out = "out.png" if "image" in names else "out.mp4"
    assert impute(run, path, tmp_path / out, "--ratio", 0.5) == 2
    assert "restores hidden tokens of" in capsys.readouterr().err
