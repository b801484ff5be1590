"""The spectrogram inside an exported graph beside the readers'."""

import pytest
import torch

from modalities.audio import AudioSpectrogram
from modalities.audio.graph_front import SoundFront
from omnimask import DataError

AUDIO = AudioSpectrogram(
    sample_rate_hz=8000, window_s=0.64, num_mels=32, patch=(8, 8), mean=-5.0, std=3.0
)
SCALE = AUDIO.mel_scale


def sound(count: int, seed: int = 0) -> torch.Tensor:
    """A tone, its overtone and faint noise."""
    noise = torch.randn(count, generator=torch.Generator().manual_seed(seed))
    time = torch.arange(count) / SCALE.sample_rate_hz
    return 0.5 * (440 * 6.283 * time).sin() + 0.1 * (1900 * 6.283 * time).sin() + 0.001 * noise


def sample(count: int) -> dict[str, torch.Tensor]:
    return {"waveform": (sound(count) * 32767).round().to(torch.int16)}


@pytest.mark.parametrize("frames", [8, 24, 64])
def test_tokens_are_the_modalitys(frames: int):
    front = SoundFront(AUDIO)
    samples = [sample(SCALE.num_samples(frames)), sample(SCALE.num_samples(64))]
    values, coords, valid = front.tokens(front.inputs(samples))
    expected = AUDIO.split(front.reference(samples))
    assert torch.equal(valid, expected.valid)
    assert torch.equal(coords, expected.coords)
    torch.testing.assert_close(values, expected.values, atol=1e-5, rtol=1e-5)


def test_a_patch_that_is_not_full_is_left_out_and_so_is_what_the_window_does_not_hold():
    front, one = SoundFront(AUDIO), SCALE.num_samples(1)

    def num_valid(count: int) -> int:
        return int(front.tokens(front.inputs([sample(count)]))[2].sum()) // AUDIO.grid["f"]

    whole = SCALE.num_samples(16)
    assert [num_valid(count) for count in (whole, whole - 1, one, one - 1)] == [2, 1, 0, 0]
    assert num_valid(10 * SCALE.num_samples(64)) == AUDIO.grid["t"]


def test_padding_behind_the_sound_changes_nothing():
    front = SoundFront(AUDIO)
    inputs = front.inputs([sample(SCALE.num_samples(24))])
    longer = {**inputs, "waveform": torch.nn.functional.pad(inputs["waveform"], (0, 999))}
    for a, b in zip(front.tokens(inputs), front.tokens(longer), strict=True):
        assert torch.equal(a, b)


def test_a_sample_without_a_waveform_is_refused():
    with pytest.raises(DataError, match=r"this sample has none.*or --from tokens"):
        SoundFront(AUDIO).inputs([{"logmel": torch.zeros(8, 32)}])
