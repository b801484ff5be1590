"""Reading sound: backends against one another, where windows lie, rates, channels, bad files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from modalities.audio import AudioFiles, AudioSpectrogram, available_readers
from modalities.audio.files import AudioSource
from modalities.audio.readers import choice as backends
from modalities.audio.readers.choice import BACKENDS, choose_backend
from modalities.audio.resampling import resample, resampling_ratio
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Visit
from tests.modalities.case_audio import chirp, encode, write

SMALL = AudioSpectrogram(window_s=1.28, num_mels=32, mean=-6.0, std=3.0)


def needs(name: str) -> None:
    status = available_readers()[name]
    if status.startswith("missing"):
        pytest.skip(f"{name} {status}")


def open_small(root: Path, files: AudioFiles | None = None) -> AudioSource:
    return (files or AudioFiles()).open(str(root), SMALL)


def every_sample(path: Path, name: str) -> np.ndarray:
    info = BACKENDS[name].probe(path)
    return BACKENDS[name].decode(path, info, start=0, count=info.num_samples)


# Backends


@pytest.mark.parametrize("name", ["pyav", "torchcodec"])
@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_16", 0.0),
        ("wav", "PCM_24", 1e-7),
        ("wav", "PCM_U8", 0.0),
        ("wav", "FLOAT", 0.0),
        ("flac", None, 0.0),
        ("ogg", None, 1e-6),
        ("mp3", None, 1e-5),
    ],
)
def test_backends_agree_on_the_whole_and_on_a_segment(
    tmp_path: Path, name: str, suffix: str, subtype: str | None, tolerance: float
) -> None:
    needs(name)
    path = tmp_path / f"a.{suffix}"
    write(path, chirp(5.0, 22_050, channels=2), 22_050, subtype)
    expected = every_sample(path, "soundfile")
    assert len(expected) == 5 * 22_050
    np.testing.assert_allclose(every_sample(path, name), expected, rtol=0, atol=tolerance)
    for reader in ("soundfile", name):
        backend = BACKENDS[reader]
        info = backend.probe(path)
        segment = backend.decode(path, info, start=77_777, count=9_999)
        # Segments are as exact as the whole: a shift by one sample would differ by 0.05.
        np.testing.assert_allclose(segment, expected[77_777:87_776], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["soundfile", "pyav", "torchcodec"])
def test_backends_agree_on_an_mp3_of_ffmpeg(tmp_path: Path, name: str) -> None:
    needs(name)
    sound = chirp(3.0, 44_100)
    decoded = every_sample(encode(tmp_path / "a.mp3", sound, 44_100, "libmp3lame"), name)
    assert len(decoded) == len(sound)  # encoder delay and padding are taken off
    assert np.abs(decoded - sound[:, 0]).mean() < 0.05


@pytest.mark.parametrize(
    ("file_name", "codec", "shift"),
    [
        ("a.m4a", "aac", 0),
        ("a.mp4", "aac", 0),
        ("a.avi", "libmp3lame", 0),
        ("a.opus", "libopus", 0),
        ("a.mkv", "libopus", 48),
        ("a.webm", "libopus", 48),
    ],
)
def test_pyav_finds_a_place_in_the_middle(
    tmp_path: Path, file_name: str, codec: str, shift: int
) -> None:
    picture = file_name in ("a.mp4", "a.avi", "a.mkv")
    path = encode(tmp_path / file_name, chirp(4.0, 48_000), 48_000, codec, picture=picture)
    whole = every_sample(path, "pyav")
    assert abs(len(whole) - 4 * 48_000) < 0.05 * 48_000
    info = BACKENDS["pyav"].probe(path)
    segment = BACKENDS["pyav"].decode(path, info, start=123_456, count=20_000)
    # Matroska's clock ticks in milliseconds, 48 samples here; AAC fills noise bands at random.
    errors = [
        np.abs(whole[123_456 + by :][:20_000] - segment).max() for by in range(-shift, shift + 1)
    ]
    assert min(errors) < 0.03
    assert len(errors) == 1 or max(errors) > 0.5


def test_a_sound_track_that_begins_late_is_placed_in_time(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", chirp(1.5, 48_000), 48_000, "aac", picture=True, late_s=0.4)
    assert BACKENDS["pyav"].probe(path).offset_s == pytest.approx(0.4, abs=0.05)
    center_s = open_small(tmp_path).center_s(0, Visit(key=0, augment=False))
    assert center_s == pytest.approx(0.4 + 0.75, abs=0.06)


def test_a_pair_cuts_by_the_time_of_the_recording_not_of_the_sound_track(tmp_path: Path) -> None:
    sound = clicks(4.0, 2.0, 48_000)
    encode(tmp_path / "a.mkv", sound, 48_000, "aac", picture=True, late_s=0.4)
    logmel = open_small(tmp_path).read(0, Visit(key=0, center_s=2.4))["logmel"]
    assert logmel.sum(dim=1).argmax().item() == pytest.approx(63.5, abs=5)


def test_every_backend_is_listed_with_a_version_or_a_reason() -> None:
    assert list(available_readers()) == ["soundfile", "pyav", "torchcodec"]
    assert all(available_readers().values())


def test_automatic_choice_and_what_is_said_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_backend("auto", ".wav") == "soundfile"
    assert choose_backend("auto", ".mp4") == "pyav"
    assert choose_backend("pyav", ".wav") == "pyav"
    monkeypatch.setattr(
        backends, "_status", lambda name: (name == "torchcodec", "missing: not installed")
    )
    assert choose_backend("auto", ".wav") == "torchcodec"
    with pytest.raises(RecipeError, match="soundfile missing: not installed"):
        choose_backend("soundfile", ".wav")
    with pytest.raises(RecipeError, match="did you mean soundfile"):
        choose_backend("soundfil", ".wav")


# Where windows lie


def clicks(seconds: float, at_s: float, rate_hz: int) -> np.ndarray:
    sound = 1e-3 * chirp(seconds, rate_hz)
    sound[round(at_s * rate_hz)] = 0.9
    return sound


@pytest.mark.parametrize(("name", "rate_hz"), [("a.wav", 16_000), ("a.flac", 44_100)])
def test_a_pair_cuts_around_the_given_time(tmp_path: Path, name: str, rate_hz: int) -> None:
    write(tmp_path / name, clicks(6.0, 4.2, rate_hz), rate_hz)
    logmel = open_small(tmp_path).read(0, Visit(key=3, center_s=4.2))["logmel"]
    # The click is in the middle of the window, half of its last frame's length aside.
    assert logmel.sum(dim=1).argmax().item() == pytest.approx(63.5, abs=1.1)


def test_a_pair_near_the_edge_gets_the_nearest_window(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", chirp(3.0, 16_000), 16_000)
    source = open_small(tmp_path)
    first = source.read(0, Visit(key=0, augment=False, center_s=0.1))
    assert torch.equal(
        first["logmel"], source.read(0, Visit(key=0, augment=False, center_s=-5.0))["logmel"]
    )
    assert len(first["logmel"]) == 128


def test_random_start_depends_on_the_key_and_tells_its_time(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", clicks(6.0, 3.0, 16_000), 16_000)
    source = open_small(tmp_path)
    centers = []
    for key in range(20):
        visit = Visit(key=key)
        logmel = source.read(0, visit)["logmel"]
        center_s = source.center_s(0, visit)
        centers.append(center_s)
        if abs(center_s - 3.0) < 0.6:
            place_s = 0.01 * logmel.sum(dim=1).argmax().item() + 0.0125
            assert center_s - 1.295 / 2 + place_s == pytest.approx(3.0, abs=0.015)
    assert 0.64 < min(centers) < 2.0
    assert 4.0 < max(centers) < 5.36
    assert len(set(centers)) == 20


def test_gain_moves_log_energies_by_one_number_within_its_limits(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", chirp(1.4, 16_000), 16_000)
    plain, louder = open_small(tmp_path), open_small(tmp_path, AudioFiles(gain_db=6.0))
    gains_db = []
    for key in range(8):
        change = louder.read(0, Visit(key=key))["logmel"] - plain.read(0, Visit(key=key))["logmel"]
        gains_db.append(10 / np.log(10) * change.mean().item())
        assert change.std() < 1e-3
    assert max(map(abs, gains_db)) <= 6.0
    assert np.ptp(gains_db) > 3.0
    held_out = Visit(key=0, augment=False)
    assert torch.equal(louder.read(0, held_out)["logmel"], plain.read(0, held_out)["logmel"])


def test_a_short_clip_gives_its_whole_patches(tmp_path: Path) -> None:
    # 0.5 s is 48 whole frames, three patches; 0.175 s is 16 frames, the least there can be.
    write(tmp_path / "a.wav", chirp(0.5, 8_000), 8_000)
    write(tmp_path / "b.wav", chirp(0.175, 16_000), 16_000)
    write(tmp_path / "c.wav", chirp(0.174, 16_000), 16_000)
    source = open_small(tmp_path)
    samples = [source.read(i, Visit(key=1, augment=False)) for i in range(2)]
    assert [len(sample["logmel"]) for sample in samples] == [48, 16]
    assert SMALL.split(SMALL.collate(samples)).num_valid == (6, 2)
    with pytest.raises(DataError, match=r"c\.wav: lasts 0\.174 s; expected at least 0\.175 s"):
        source.read(2, Visit(key=1))


# Rates and channels


@pytest.mark.parametrize("rate_hz", [8_000, 11_127, 44_100, 192_000])
def test_a_tone_keeps_its_frequency_and_level_at_any_rate(rate_hz: int) -> None:
    ratio = resampling_ratio(rate_hz, 16_000)
    assert ratio.denominator <= 1000
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(rate_hz) / rate_hz)
    out = resample(tone, ratio)
    assert abs(len(out) - 16_000) <= 1
    spectrum = torch.fft.rfft(out[:16_000]).abs() / 8_000
    assert spectrum.argmax() == 1000
    assert spectrum.max() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_a_window_is_full_at_any_rate(tmp_path: Path, rate_hz: int) -> None:
    write(tmp_path / "a.wav", chirp(1.295, rate_hz), rate_hz)  # exactly 128 frames long
    write(tmp_path / "b.wav", chirp(2.0, rate_hz), rate_hz)
    source = open_small(tmp_path)
    lengths = [len(source.read(i, Visit(key=1))["logmel"]) for i in range(2)]
    assert lengths[1] == 128
    assert lengths[0] in (112, 128)  # 1.295 s is not a whole number of samples at every rate


def test_channels_are_averaged(tmp_path: Path) -> None:
    sound = chirp(1.5, 16_000, channels=2)
    write(tmp_path / "stereo.wav", sound, 16_000, "FLOAT")
    write(tmp_path / "mono.wav", sound.mean(axis=1), 16_000, "FLOAT")
    source = open_small(tmp_path)
    mono, stereo = (source.read(i, Visit(key=0, augment=False))["logmel"] for i in range(2))
    torch.testing.assert_close(stereo, mono)


# Files


def test_labels_names_and_what_is_listed(tmp_path: Path) -> None:
    for name in ("set/dog/a.WAV", "set/cat/b.wav", "set/c.wav", "set/.hidden.wav", "other/d.wav"):
        write(tmp_path / "plain.wav", chirp(0.2, 16_000), 16_000)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plain.wav").rename(tmp_path / name)
    (tmp_path / "set" / "notes.txt").write_text("not sound")
    source = open_small(tmp_path, AudioFiles(path="set"))
    assert [source.name(i) for i in range(len(source))] == [
        "c.wav",
        "cat/b.wav",
        "dog/a.WAV",
    ]
    assert [source.label(i) for i in range(3)] == [None, "cat", "dog"]
    assert open_small(tmp_path, AudioFiles(path="set", labels="none")).label(1) is None


@pytest.mark.parametrize("name", ["soundfile", "pyav", "torchcodec"])
def test_each_backend_names_a_damaged_file(tmp_path: Path, name: str) -> None:
    needs(name)
    path = write(tmp_path / "bad.mp3", chirp(3.0, 16_000), 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    (tmp_path / "text.flac").write_text("not sound " * 100)
    long = AudioSpectrogram(window_s=2.88, num_mels=32, mean=0.0, std=1.0)
    source = AudioFiles(backend=name).open(str(tmp_path), long)  # pyright: ignore[reportArgumentType] a parameter
    with pytest.raises(DataError, match=r"bad\.mp3"):
        source.read(0, Visit(key=0, augment=False))
    with pytest.raises(DataError, match=r"text\.flac"):
        source.read(1, Visit(key=0, augment=False))


@pytest.mark.parametrize("name", ["pyav", "torchcodec"])
def test_a_video_without_sound_is_called_that(tmp_path: Path, name: str) -> None:
    needs(name)
    path = encode(tmp_path / "a.mp4", np.zeros((0, 1), dtype=np.float32), 1, "aac", picture=True)
    with pytest.raises(DataError, match=r"a\.mp4: has no sound track"):
        BACKENDS[name].probe(path)
