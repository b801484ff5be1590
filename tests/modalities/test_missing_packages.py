"""A package that is not there: one error with the command that brings it, before training."""

import sys
from pathlib import Path

import pytest

import modalities.audio.readers.choice as sound_backends
import modalities.video.readers.choice as video_backends
from modalities.audio import AudioFiles, AudioSpectrogram
from modalities.image import ImageFiles, ImagePatches, LabelFiles, LabelPatches
from modalities.points import PointFiles, PointGroups
from modalities.tabular import TableCells, TableFiles
from modalities.video import VideoFiles, VideoTubelets
from modalities.volume import VolumeFiles, VolumePatches
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Files, Modality

LABELS = LabelPatches(num_classes=3)
SOUND, CLIP = AudioSpectrogram(), VideoTubelets()
PICTURE, CLOUD, TABLE = ImagePatches(), PointGroups(), TableCells()
# What is read, its file, and the package that is hidden.
CASES = [
    (AudioFiles(), SOUND, "a.wav", "torchaudio", "audio"),
    (AudioFiles(backend="soundfile"), SOUND, "a.wav", "soundfile", "audio"),
    (AudioFiles(backend="torchcodec"), SOUND, "a.wav", "torchcodec", "audio"),
    (AudioFiles(backend="pyav"), SOUND, "a.mp4", "av", "audio"),
    (ImageFiles(), PICTURE, "a.png", "torchvision", "image"),
    (ImageFiles(), PICTURE, "a.png", "PIL", "image"),
    (ImageFiles(), PICTURE, "a.tiff", "tifffile", "image"),
    (LabelFiles(), LABELS, "a.png", "torchvision", "image"),
    (VideoFiles(), CLIP, "a.mp4", "av", "video"),
    (VideoFiles(), CLIP, "a.mp4", "torchvision", "image"),
    (VideoFiles(backend="torchcodec"), CLIP, "a.mp4", "torchcodec", "video"),
    (PointFiles(), CLOUD, "a.stl", "open3d", "points"),
    (PointFiles(estimate_normals=True), CLOUD, "a.xyz", "open3d", "points"),
    (TableFiles(), TABLE, "a.csv", "pandas", "tabular"),
    (TableFiles(), TABLE, "a.csv", "pyarrow", "tabular"),
    (VolumeFiles(), VolumePatches(), "a.nii.gz", "nibabel", "volume"),
]


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sound_backends, video_backends):
        monkeypatch.setattr(module, "_status", vars(module)["_status"].__wrapped__)


@pytest.mark.parametrize(
    ("files", "modality", "name", "package", "extra"),
    CASES,
    ids=[f"{type(case[0]).__name__}-{case[3]}" for case in CASES],
)
def test_opening_files_names_the_package_and_the_command(
    files: Files,
    modality: Modality,
    name: str,
    package: str,
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / name).write_text("x")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RecipeError) as error:
        files.open(str(tmp_path), modality)
    assert package in str(error.value)
    assert f"`uv pip install 'omnimask[{extra}]'`" in str(error.value)


def test_decord_lives_in_another_process_and_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise ImportError("No module named 'decord'")

    monkeypatch.setattr(video_backends.BACKENDS["decord"], "version", missing)
    (tmp_path / "a.mp4").write_text("x")
    with pytest.raises(RecipeError, match=r"decord.*uv pip install 'omnimask\[video\]'"):
        VideoFiles(backend="decord").open(str(tmp_path), CLIP)
