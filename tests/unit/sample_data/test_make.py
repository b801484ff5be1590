"""The sample data: real files that others' readers open, the same on each run, never half-made."""

import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from omnimask.commands.main import main
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.sample_data import PARTS, audio, images, maps, part_module, tables, video
from omnimask.sample_data.files import FileJob, file_generator
from omnimask.sample_data.make import make_sample_data
from omnimask.sample_data.photos import PHOTOS, photo_region, read_photo
from tests.unit.sample_data.independent_readers import decoded, decoded_clip, decoded_sweep

REPOSITORY = Path(__file__).resolve().parents[3]
SCALE = 0.05
FEW_LABELS = {"voxels": 5, "parts": 3, "volumes": 5, "skeletons": 6, "sensors": 5}
MODULES = {part: part_module(part) for part in PARTS}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "sample"
    assert make_sample_data(root, scale=SCALE, workers=0)
    return root


def files_of(root: Path, part: str) -> list[Path]:
    return sorted(path for path in (root / part).rglob("*") if path.is_file())


def fingerprint(path: Path) -> str:
    digest = hashlib.sha256()
    for values in decoded(path):
        digest.update(f"{values.shape} {values.dtype}".encode() + values.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("part", PARTS)
def test_every_file_opens_and_splits_share_no_content(sample: Path, part: str) -> None:
    prints = defaultdict(set)
    for path in files_of(sample, part):
        contents = decoded(path)
        assert all(values.size > 0 for values in contents[:1]), path
        prints[path.relative_to(sample).parts[1]].add(fingerprint(path))
    assert set(prints) == {"train", "held_out"}
    assert not prints["train"] & prints["held_out"]


@pytest.mark.parametrize("part", [part for part in PARTS if part != "tables"])
def test_both_splits_have_every_label_and_small_data_every_format(sample: Path, part: str) -> None:
    below = "rgb" if part == "maps" else ""
    labels = {
        split: {path.name for path in (sample / part / split / below).iterdir()}
        for split in ("train", "held_out")
    }
    assert labels["train"] == labels["held_out"]
    assert len(labels["train"]) >= FEW_LABELS.get(part, 8)
    full = {job.suffix for job in MODULES[part].jobs(1.0)}
    assert {path.suffix for path in files_of(sample, part)} == full


@pytest.mark.parametrize("part", PARTS)
def test_a_file_depends_on_seed_and_path_alone(sample: Path, part: str, tmp_path: Path) -> None:
    """Writing the last file first, alone, gives what the whole run gave."""
    by_suffix = {job.suffix: job for job in MODULES[part].jobs(SCALE)}
    for job in by_suffix.values():
        assert fingerprint(written(job, tmp_path / "again")) == fingerprint(sample / job.path)
        if part != "tables" and not job.label.startswith("digit"):
            other = written(job, tmp_path / "other", seed=1)
            assert fingerprint(other) != fingerprint(sample / job.path)


def written(job: FileJob, root: Path, *, seed: int = 0) -> Path:
    part = job.path.split("/")[0]
    path = root / job.path
    path.parent.mkdir(parents=True, exist_ok=True)
    MODULES[part].write(job, root, file_generator(seed, job.path))
    return path


@pytest.mark.parametrize("name", PHOTOS)
def test_held_out_quarter_and_the_rest_make_up_the_photograph(name: str) -> None:
    axis = 0 if PHOTOS[name].held_out_edge == "bottom" else 1
    regions = [photo_region(name, "train"), photo_region(name, "held_out")]
    if PHOTOS[name].held_out_edge == "left":
        regions.reverse()
    np.testing.assert_array_equal(np.concatenate(regions, axis=axis), read_photo(name))


def test_digits_of_the_two_splits_are_different_digits() -> None:
    for label in ("digit-0", "digit-9"):
        jobs = [job for job in images.jobs(1.0) if job.label == label]
        assert len(jobs) == 130
        assert {job.index for job in jobs if job.split == "train"} == set(range(100))


@pytest.mark.parametrize(("label", "rises"), [("right", True), ("left", False)])
def test_the_sound_moves_with_the_object(tmp_path: Path, label: str, rises: bool) -> None:
    job = next(job for job in video.jobs(1.0) if job.label == label)
    frames, sound = decoded_clip(written(job, tmp_path))
    assert len(frames) in (24, 30)  # 2 s, as of most clips
    assert sound.shape[1] / video.SAMPLE_RATE_HZ == pytest.approx(2, abs=0.15)
    half_s = video.SAMPLE_RATE_HZ // 2
    early, late = ((sound[:, at : at + half_s] ** 2).sum(axis=1) for at in (0, 3 * half_s))
    change = late[1] / late.sum() - early[1] / early.sum()
    assert (change > 0.1) if rises else (change < -0.1)


def test_sweeps_look_like_kitti(sample: Path) -> None:
    for path in files_of(sample, "voxels"):
        (sweep,) = decoded_sweep(path)
        assert sweep.dtype == np.float32
        assert 3500 < len(sweep) < 10000
        assert 0 <= sweep[:, 3].min() <= sweep[:, 3].max() <= 1
        distance = np.linalg.norm(sweep[:, :3], axis=1)
        assert 0.9 < distance.min() < distance.max() < 41
        assert sweep[:, 2].min() < -1.4, "the ground lies below the sensor"


def test_tables_have_every_kind_of_column_and_gaps(sample: Path) -> None:
    import pandas as pd

    for name, share in tables.MISSING_SHARES.items():
        train = pd.read_csv(sample / f"tables/train/{name}.csv")
        held_out = pd.read_csv(sample / f"tables/held_out/{name}.csv")
        features = train.drop(columns="target")
        assert features.isna().to_numpy().mean() == pytest.approx(share, abs=0.02)
        assert len(train.dropna(subset=["target"])) == len(train)
        assert len(held_out) / (len(train) + len(held_out)) == pytest.approx(0.2, abs=0.01)
    diabetes = pd.read_csv(sample / "tables/train/diabetes.csv")
    assert list(np.unique(diabetes["sex"].dropna())) == ["a", "b"]
    assert list(np.unique(diabetes["overweight"].dropna())) == [False, True]
    wine = pd.read_csv(sample / "tables/train/wine.csv", parse_dates=["sampled_on"])
    assert wine["sampled_on"].dtype.kind == "M"
    csv = pd.read_csv(sample / "tables/held_out/breast_cancer.csv")
    parquet = pd.read_parquet(sample / "tables/held_out/breast_cancer.parquet")
    pd.testing.assert_frame_equal(csv, parquet, rtol=1e-5, check_dtype=False)


def test_complete_data_are_left_alone_and_damaged_data_made_anew(tmp_path: Path) -> None:
    root = tmp_path / "sample"

    def make(*, force: bool = False) -> bool:
        return make_sample_data(root, parts=["tables"], scale=SCALE, workers=0, force=force)

    assert make()
    assert not make()
    assert make(force=True)
    damaged = root / "tables/train/iris.csv"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    assert make()
    assert damaged.read_bytes() == whole


def test_only_adds_a_part_and_keeps_the_others(tmp_path: Path) -> None:
    root = tmp_path / "sample"
    for part in ("tables", "audio"):
        assert make_sample_data(root, parts=[part], scale=SCALE, workers=0)
    assert set(json.loads((root / "manifest.json").read_text())["parts"]) == {"audio", "tables"}
    assert not make_sample_data(root, parts=["tables"], scale=SCALE, workers=0)
    table = root / "tables/train/iris.csv"
    before = table.stat()
    with table.open() as held_open:
        assert make_sample_data(root, parts=["audio"], scale=SCALE, workers=0, force=True)
        assert held_open.readline()
    assert (table.stat().st_ino, table.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "## audio" in (root / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_a_broken_run_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "sample"
    make_sample_data(root, parts=["tables"], scale=SCALE, workers=0)
    before = (root / "manifest.json").read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audio, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_sample_data(root, parts=["audio"], scale=SCALE, workers=0)
    assert (root / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_wrong_requests_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("not to be lost")
    with pytest.raises(DataError, match=r"did not write.*another folder"):
        make_sample_data(tmp_path, force=True)
    with pytest.raises(RecipeError, match="did you mean images"):
        make_sample_data(tmp_path / "new", parts=["image"])
    with pytest.raises(RecipeError, match="scale must be in"):
        make_sample_data(tmp_path / "new", scale=0)
    assert main(["sample-data", str(tmp_path / "new"), "--only", "sound"]) == 2
    assert "unknown part 'sound'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_the_script_makes_all_of_it_below_76_mb(sample: Path, tmp_path: Path) -> None:
    """By two processes, and what they share with the small data of one process is the same."""
    root = tmp_path / "data" / "sample"
    script = [sys.executable, "tools/make_sample_data.py", str(root)]
    first = subprocess.run(script, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not first.stderr
    manifest = json.loads((root / "manifest.json").read_text())
    counts = {part: entry["count"] for part, entry in manifest["parts"].items()}
    files_per_job = {"maps": len(maps.MAPS)}
    assert counts == {
        part: len(MODULES[part].jobs(1.0)) * files_per_job.get(part, 1) for part in PARTS
    }
    sizes = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
    assert sum(sizes) < 76e6
    same = [path for part in PARTS for path in files_of(sample, part) if part != "tables"]
    assert len(same) > 300
    for path in same:
        assert fingerprint(root / path.relative_to(sample)) == fingerprint(path), path
    written = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    module = [sys.executable, "-m", "tools.make_sample_data", str(root)]
    again = subprocess.run(module, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "nothing to do" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == written
