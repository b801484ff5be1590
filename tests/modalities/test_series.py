"""What is particular to series: formats, gaps, rates, windows, and what is filled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from modalities.series import SeriesFiles, SeriesPatches
from modalities.series.readers import Columns, read_recording, write_recording
from modalities.series.resampling import at_rate, of_length
from omnimask.decoders import SelfAttentionDecoder
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.masking import RandomMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.tokens.modality import Visit
from omnimask.training.step import build_model
from omnimask.transfer.imputing.file import impute_file
from omnimask.transfer.imputing.request import Request
from tests.modalities.case_series import NAMES, RATE_HZ, recording, table, with_gaps

CENTRE = Visit(key=0, augment=False)
PLAIN = SeriesPatches(
    num_steps=24, num_joints=3, num_channels=2, patch=4, mean=(0.0,) * 6, std=(1.0,) * 6
)
ALL = Columns(names=None, time=None)


def write(path: Path, values: np.ndarray) -> Path:
    match path.suffix:
        case ".npy":
            np.save(path, values)
        case ".npz":
            np.savez(path, series=values)
        case ".parquet":
            table(values, time=False).to_parquet(path)
        case suffix:
            sep = "\t" if suffix == ".tsv" else ","
            table(values, time=False).to_csv(path, index=False, sep=sep)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npy", ".npz"])
def test_every_format_holds_the_same_gaps_too_and_comes_back(suffix: str, tmp_path: Path):
    values = with_gaps(recording(0)).reshape(40, 6)
    path = write(tmp_path / f"a{suffix}", values.reshape(40, 3, 2))
    found = read_recording(path, ALL)
    np.testing.assert_allclose(found.values, values, rtol=1e-12)
    write_recording(tmp_path / f"b{suffix}", found, time=None, shape=(3, 2))
    again = read_recording(tmp_path / f"b{suffix}", Columns(names=None, time=None))
    np.testing.assert_allclose(again.values, values, rtol=1e-12)


def test_columns_are_chosen_and_times_read_from_instants(tmp_path: Path):
    frame = table(recording(0), time=False)
    frame["note"] = "text"
    frame["when"] = pd.date_range("2024-01-01", periods=40, freq="50ms")
    for path in (tmp_path / "a.csv", tmp_path / "a.parquet"):
        frame.to_csv(path) if path.suffix == ".csv" else frame.to_parquet(path)
        found = read_recording(path, Columns(names=(NAMES[3], NAMES[0]), time="when"))
        np.testing.assert_allclose(found.values, frame[[NAMES[3], NAMES[0]]].to_numpy())
        assert found.times_s is not None
        np.testing.assert_allclose(found.times_s, np.arange(40) / 20)
        with pytest.raises(DataError, match=r"a\.(csv|parquet): its column 'note' holds"):
            read_recording(path, Columns(names=None, time="when"))
    with pytest.raises(DataError, match="no column 'hips'"):
        read_recording(path, Columns(names=("hips",), time=None))


def test_a_first_line_of_numbers_is_data(tmp_path: Path):
    (tmp_path / "a.csv").write_text("1,2,3\n4,,6\n")
    expected = np.array([[1, 2, 3], [4, np.nan, 6]])
    np.testing.assert_array_equal(read_recording(tmp_path / "a.csv", ALL).values, expected)


def test_a_token_with_a_gap_is_never_shown_nor_asked_for(tmp_path: Path):
    """Of joint 1 steps 9 to 13 are lost, patches 2 and 3; of joint 2 one number, patch 5."""
    write(tmp_path / "a.npy", with_gaps(recording(0))[:24])
    sample = SeriesFiles().open(str(tmp_path), PLAIN).read(0, CENTRE)
    tokens = PLAIN.split(PLAIN.collate([sample]))
    unknown = (~tokens.valid[0]).unflatten(0, (6, 3)).nonzero().tolist()
    assert unknown == [[2, 1], [3, 1], [5, 2]]
    assert torch.equal(tokens.valid, tokens.scorable)
    assert (tokens.values[~tokens.valid] == 0).all()
    assert tokens.grid == {"t": 6, "joint": 3}


def test_sensors_of_one_joint_stand_on_time_alone():
    sensors = replace(PLAIN, num_joints=1, num_channels=6)
    assert sensors.grid == {"t": 6}
    series = torch.arange(24 * 6.0).reshape(24, 1, 6)
    known = torch.ones(24, 1, dtype=torch.bool)
    tokens = sensors.split(sensors.collate([{"series": series, "known": known}]))
    assert torch.equal(tokens.values[0, 1], torch.arange(24.0, 48.0)), "steps, channels fastest"


# Rates and lengths


def sine(times_s: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * times_s)[:, None]


@pytest.mark.parametrize(("before", "after"), [(20.0, 60.0), (60.0, 20.0), (100.0, 30.0)])
def test_a_slow_wave_is_the_same_at_another_rate(before: float, after: float):
    times_s = np.arange(round(3 * before)) / before
    values, new_s = at_rate(sine(times_s), times_s, after)
    np.testing.assert_allclose(np.diff(new_s), 1 / after)
    inner = slice(3, -3)
    np.testing.assert_allclose(values[inner], sine(new_s)[inner], atol=0.03)


def test_a_fast_wave_does_not_become_a_slow_one():
    times_s = np.arange(400) / 100
    values, _ = at_rate(np.sin(2 * np.pi * 25 * times_s)[:, None], times_s, 20.0)
    assert np.abs(values[2:-2]).max() < 0.3


def test_gaps_and_holes_in_the_times_stay_unknown():
    times_s = np.delete(np.arange(41) / 20, slice(20, 25))  # from 0.95 s to 1.25 s nothing
    values = sine(times_s)
    values[8] = np.nan  # at 0.4 s
    found, new_s = at_rate(values, times_s, 40.0)
    unknown = new_s[np.isnan(found[:, 0])]
    expected = [0.375, 0.4, 0.425, *np.arange(0.975, 1.24, 0.025)]
    np.testing.assert_allclose(unknown, expected, atol=1e-9)


def test_the_same_rate_changes_nothing():
    values, times_s = with_gaps(recording(0)).reshape(40, 6), np.arange(40) / RATE_HZ
    assert at_rate(values, times_s, RATE_HZ)[0] is values


@pytest.mark.parametrize("length", [10, 25, 50])
def test_a_stretched_line_is_a_line(length: int):
    line = of_length(np.linspace(0, 1, 25)[:, None], length)[:, 0]
    assert len(line) == length
    inner = line[1:-1]
    np.testing.assert_allclose(np.diff(inner), np.diff(inner).mean(), atol=1e-6)


# Views


def test_an_unknown_rate_is_named_and_may_be_given(tmp_path: Path):
    write(tmp_path / "a.npy", recording(0))
    modality = replace(PLAIN, rate_hz=10.0)
    with pytest.raises(DataError, match=r"a\.npy: does not say at which rate"):
        SeriesFiles().open(str(tmp_path), modality).read(0, CENTRE)
    sample = SeriesFiles(rate_hz=20.0).open(str(tmp_path), modality).read(0, CENTRE)
    assert len(sample["series"]) == 20


def test_a_window_follows_the_sound_it_is_paired_with(tmp_path: Path):
    write(tmp_path / "a.npy", np.arange(200.0)[:, None, None].repeat(3, 1).repeat(2, 2))
    source = SeriesFiles(rate_hz=20.0).open(str(tmp_path), PLAIN)
    for center_s, first in ((5.0, 88), (0.1, 0), (99.0, 176)):
        sample = source.read(0, Visit(key=3, center_s=center_s))
        assert sample["series"][0, 0, 0] == first


def test_a_window_of_gaps_moves_to_the_nearest_patch(tmp_path: Path):
    values = recording(0, 100)
    values[20:80] = np.nan
    write(tmp_path / "a.npy", values)
    sample = SeriesFiles().open(str(tmp_path), PLAIN).read(0, CENTRE)  # the middle is lost
    assert sample["known"].any()
    assert PLAIN.collate([sample])["num_known"] != (0,)


def test_the_origin_is_at_a_joint_and_a_share_is_stretched(tmp_path: Path):
    write(tmp_path / "a.npy", recording(0, 60) + 5)
    files = SeriesFiles(origin=1, stretch=(0.5, 0.5))
    source = files.open(str(tmp_path), PLAIN)
    whole, half = source.read(0, CENTRE)["series"], source.read(0, Visit(key=1))["series"]
    assert len(whole) == len(half) == 24
    assert torch.equal(whole[0, 1], torch.zeros(2))
    assert whole.abs().max() < 3
    assert half.diff(dim=0).abs().mean() < whole.diff(dim=0).abs().mean()
    with pytest.raises(RecipeError, match="a joint below 3"):
        SeriesFiles(origin=3).open(str(tmp_path), PLAIN)


# Filling


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_gaps_are_filled_and_all_that_is_known_is_kept(suffix: str, tmp_path: Path):
    values = with_gaps(recording(0, 62))  # three windows, and a patch that ends early
    values[61, 0, 0] = np.nan
    path = write(tmp_path / f"a{suffix}", values)
    files = {"series": SeriesFiles(origin=0)}
    recipe = Recipe(
        name="one",
        modalities=(PLAIN,),
        masker=RandomMask(ratio=0.5),
        encoder=Encoder(width=16, depth=1, num_heads=2),
        decoders={"main": SelfAttentionDecoder(width=16, depth=1, num_heads=2)},
        objectives=(Objective(name="steps", modality="series", target=Content(), loss=mse),),
        data=Data(root=str(tmp_path), streams=(Stream(name="one", files=files),)),
        optim=Optim(steps=1, warmup_steps=0),
        run=Run(tracker="none", report=False),
    )
    torch.manual_seed(0)
    done = impute_file(build_model(recipe), Request(path=path, out=tmp_path / f"b{suffix}"))
    assert done.notes[0] == "filled 12 of 12 missing numbers"
    after = read_recording(tmp_path / f"b{suffix}", ALL).values.reshape(62, 3, 2)
    known = ~np.isnan(values)
    np.testing.assert_allclose(after[known], values[known], rtol=1e-12)
    assert np.isfinite(after).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_steps": 26}, "write num_steps=24"),
        ({"rate_hz": 0.0}, "rate_hz must be positive"),
        ({"mean": (0.0,)}, "3 joints times 2 channels"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        replace(PLAIN, **change)
