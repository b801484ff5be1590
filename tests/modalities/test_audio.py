"""Sound as tokens: log-mel energies, short clips, statistics, pictures and players."""

import base64
import io
import math
import re
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from modalities.audio import AudioFiles, AudioSpectrogram
from modalities.audio.logmel import MelScale, log_mel, mel_filters
from modalities.audio.modality import tensor_of
from modalities.audio.sound import sound_of
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Visit
from omnimask.tokens.tokens import Raw
from tests.modalities.case_audio import chirp, write

SMALL = AudioSpectrogram(window_s=1.28, num_mels=32, mean=-6.0, std=3.0)


def reference_log_mel(sound: np.ndarray, scale: MelScale) -> np.ndarray:
    """The same in numpy, after the text of Kaldi's feature-fbank and mel-computations."""
    starts = range(0, len(sound) - scale.frame + 1, scale.hop)
    frames = np.stack([sound[s : s + scale.frame] for s in starts]).astype(np.float64)
    frames -= frames.mean(axis=1, keepdims=True)
    frames -= 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    power = np.abs(np.fft.rfft(frames * np.hanning(scale.frame), scale.num_fft)) ** 2
    mels = 1127 * np.log(
        1 + np.arange(scale.num_fft // 2) * scale.sample_rate_hz / scale.num_fft / 700
    )
    low, high = (1127 * np.log(1 + edge / 700) for edge in (scale.min_hz, scale.max_hz))
    edges = np.linspace(low, high, scale.num_mels + 2)
    up = (mels[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - mels[:, None]) / (edges[2:] - edges[1:-1])
    energies = power[:, :-1] @ np.maximum(np.minimum(up, down), 0)
    return np.log(np.maximum(energies, np.finfo(np.float32).eps))


@pytest.mark.parametrize(
    "record",
    [
        AudioSpectrogram(),
        AudioSpectrogram(num_fft=1024, min_hz=0.0, max_hz=7_000.0, num_mels=64),
        AudioSpectrogram(sample_rate_hz=22_050, frame_s=0.03, num_mels=80),
    ],
    ids=["default", "wide transform", "22 kHz"],
)
def test_log_mel_equals_a_numpy_reference(record: AudioSpectrogram) -> None:
    sound = chirp(1.0, record.sample_rate_hz)[:, 0]
    ours = log_mel(torch.from_numpy(sound), record.mel_scale).numpy()
    np.testing.assert_allclose(ours, reference_log_mel(sound, record.mel_scale), atol=2e-3)


def test_log_mel_equals_torchaudios_kaldi_fbank_with_the_settings_of_audiomae() -> None:
    from torchaudio.compliance.kaldi import fbank

    sound = torch.from_numpy(chirp(1.0, 16_000)[:, 0])
    theirs = fbank(
        sound[None],
        htk_compat=True,
        sample_frequency=16_000.0,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=128,
        dither=0.0,
        frame_shift=10.0,
    )
    torch.testing.assert_close(log_mel(sound, AudioSpectrogram().mel_scale), theirs)


@pytest.mark.parametrize(
    ("num_samples", "frames"), [(399, 0), (400, 1), (559, 1), (560, 2), (160_000, 998)]
)
def test_number_of_frames(num_samples: int, frames: int) -> None:
    scale = AudioSpectrogram().mel_scale
    assert scale.num_frames(num_samples) == frames
    if frames:
        assert len(log_mel(torch.zeros(num_samples), scale)) == frames
        assert scale.num_frames(scale.num_samples(frames) - 1) == frames - 1


def test_published_transform_leaves_one_filter_empty_and_the_wider_one_none() -> None:
    empty = [
        int((mel_filters(AudioSpectrogram(num_fft=num_fft).mel_scale).sum(dim=0) == 0).sum())
        for num_fft in (None, 1024)
    ]
    assert empty == [1, 0]


def test_default_sample_is_the_grid_of_audiomae() -> None:
    record = AudioSpectrogram()
    assert (record.window_frames, record.num_tokens, record.num_values) == (1024, 512, 256)
    assert record.grid == {"t": 64, "f": 8}


def raw_of(*num_frames: int, record: AudioSpectrogram = SMALL) -> Raw:
    generator = torch.Generator().manual_seed(0)
    return record.collate(
        [{"logmel": torch.randn(n, record.num_mels, generator=generator)} for n in num_frames]
    )


def test_patches_beyond_a_short_clip_are_neither_valid_nor_scorable() -> None:
    tokens = SMALL.split(raw_of(128, 32))
    assert tokens.num_valid == (16, 4)
    assert tokens.valid[1].nonzero().flatten().tolist() == [0, 1, 2, 3]
    assert torch.equal(tokens.scorable, tokens.valid)
    assert not tokens.values[1, 4:].any()


def test_a_token_is_its_patch_normalised() -> None:
    raw = raw_of(128)
    token = SMALL.split(raw).values[0, 2 * 3 + 1].reshape(16, 16)  # third patch in time, upper mels
    expected = (tensor_of(raw, "logmel")[0, 48:64, 16:32] + 6.0) / 3.0
    torch.testing.assert_close(token, expected)
    assert SMALL.split(raw).coords[0, 2 * 3 + 1].tolist() == [3.0, 1.0]


def test_join_puts_nothing_beyond_the_real_frames() -> None:
    raw = raw_of(128, 32)
    joined = tensor_of(SMALL.join(torch.randn(2, 16, 256), raw), "logmel")
    assert joined[0].ne(0).all()
    assert not joined[1, 32:].any()


@pytest.mark.parametrize("positions", ["sincos", "learned"])
def test_positions_and_embedding_have_the_width_asked_for(positions: str) -> None:
    record = AudioSpectrogram(positions=positions)  # pyright: ignore[reportArgumentType] a parameter
    coords = torch.tensor([[0.0, 0.0], [63.0, 7.0]])
    assert record.position(24)(coords).shape == (2, 24)
    assert record.embed(24)(torch.randn(5, 256)).shape == (5, 24)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window_s": 10.0}, "window_s=9.92"),
        ({"num_mels": 100}, "num_mels=96"),
        ({"max_hz": 9_000.0}, "8000"),
        ({"min_hz": -1.0}, "min_hz"),
        ({"num_fft": 256}, "num_fft=None"),
        ({"hop_s": 1e-6}, "positive"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        AudioSpectrogram(**fields)  # pyright: ignore[reportArgumentType] different types by field


def test_split_without_statistics_says_what_to_call() -> None:
    record = AudioSpectrogram(window_s=1.28, num_mels=32)
    with pytest.raises(RecipeError, match=r"fit\(source\)"):
        record.split(raw_of(128))


def test_fit_measures_real_frames_only(tmp_path: Path) -> None:
    write(tmp_path / "long.wav", chirp(1.5, 16_000, seed=1), 16_000)
    write(tmp_path / "short.wav", 0.01 * chirp(0.5, 16_000, seed=2), 16_000)
    record = AudioSpectrogram(window_s=1.28, num_mels=32)
    source = AudioFiles().open(str(tmp_path), record)
    fitted = record.fit(source)
    frames = torch.cat([source.read(i, Visit(key=0, augment=False))["logmel"] for i in range(2)])
    assert frames.shape == (128 + 48, 32)
    assert fitted.mean == pytest.approx(frames.double().mean().item(), rel=1e-6)
    assert fitted.std == pytest.approx(frames.double().std(correction=0).item(), rel=1e-6)
    assert (fitted.num_fft, fitted.max_hz) == (512, 8_000.0)


def test_fit_on_silence_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "silence.wav", np.zeros((32_000, 1), dtype=np.float32), 16_000)
    record = AudioSpectrogram(window_s=1.28, num_mels=32)
    with pytest.raises(DataError, match=r"silence\.wav"):
        record.fit(AudioFiles().open(str(tmp_path), record))


def test_sound_has_the_energies_it_was_made_from_and_is_always_the_same() -> None:
    scale = AudioSpectrogram(num_mels=64).mel_scale
    logmel = log_mel(torch.from_numpy(chirp(1.0, 16_000)[:, 0]), scale)
    before = torch.get_rng_state()
    sound = sound_of(logmel, scale)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(sound, sound_of(logmel, scale))
    assert len(sound) == (len(logmel) - 1) * scale.hop
    # It begins in the middle of the first frame, 200 samples after where that begins.
    again = log_mel(torch.nn.functional.pad(sound, (200, 200)), scale)
    assert (again - logmel)[3:-3].abs().mean() < 0.35


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_the_shortest_sounds_are_heard_too(num_frames: int) -> None:
    scale = AudioSpectrogram(num_mels=64).mel_scale
    sound = sound_of(torch.zeros(num_frames, 64), scale)
    assert len(sound) == (num_frames - 1) * scale.hop
    assert sound.isfinite().all()
    assert num_frames == 1 or sound.abs().max() > 0.01


def players(html: str) -> list[tuple[int, np.ndarray]]:
    sounds = []
    for data in re.findall(r'src="data:audio/wav;base64,([^"]*)"', html):
        with wave.open(io.BytesIO(base64.b64decode(data))) as wav:
            assert (wav.getnchannels(), wav.getsampwidth()) == (1, 2)
            sounds.append(
                (wav.getframerate(), np.frombuffer(wav.readframes(wav.getnframes()), np.int16))
            )
    return sounds


def drawn(folder: Path, *, augment: bool, seconds: float) -> str:
    record = AudioSpectrogram(num_mels=32, mean=-6.0, std=3.0)
    source = AudioFiles().open(str(folder), record)
    raw = record.collate([source.read(0, Visit(key=0, augment=augment))])
    tokens = record.split(raw)
    drawing = record.draw(raw, visible=tokens.valid, filled=tokens.values, index=0)
    assert [axes.get_title() for axes in drawing.figure.axes[:3]] == [
        "original",
        "visible",
        "reconstruction",
    ]
    assert drawing.figure.axes[0].get_xlim()[1] == pytest.approx(seconds, abs=0.17)
    return drawing.html


def test_players_have_the_recorded_sound_and_one_with_an_estimated_phase(tmp_path: Path) -> None:
    sound = chirp(2.0, 16_000)
    write(tmp_path / "a.wav", sound, 16_000)
    html = drawn(tmp_path, augment=False, seconds=2.0)
    (rate_hz, original), (_, rebuilt) = players(html)
    assert rate_hz == 16_000
    assert len(original) == len(rebuilt)
    skipped = (32_000 - (192 - 1) * 160 - 400) // 2 + 200  # a central cut of 192 frames
    expected = sound[skipped : skipped + len(original), 0]
    np.testing.assert_allclose(original / 32767, expected, atol=2 / 32767)
    assert "as recorded" in html
    assert html.count("phase is estimated") == 1


def test_training_views_carry_no_waveform_and_long_sounds_are_cut_in_the_player(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.wav", chirp(10.3, 16_000), 16_000)
    html = drawn(tmp_path, augment=True, seconds=10.24)
    assert html.count("phase is estimated") == 2
    assert "(the first 6.2 of 10.2 s)" in html
    assert all(sound.nbytes <= 200_000 for _, sound in players(html))


def test_hidden_patches_are_blank_in_the_visible_panel() -> None:
    raw = raw_of(128)
    tokens = SMALL.split(raw)
    shown = torch.zeros(1, 16, dtype=torch.bool)
    shown[0, 3] = True
    figure = SMALL.draw(raw, visible=shown, filled=tokens.values, index=0).figure
    panel = figure.axes[1].images[0].get_array()
    assert panel is not None
    visible = ~np.isnan(np.ma.filled(panel, math.nan))
    assert visible[16:, 16:32].all()
    assert visible.sum() == 256


def test_values_of_a_batch_on_half_precision_can_be_drawn() -> None:
    raw = raw_of(128)
    tokens = SMALL.split(raw)
    filled: Tensor = tokens.values.bfloat16()
    assert SMALL.draw(raw, visible=tokens.valid, filled=filled, index=0).html.count("<audio") == 2
