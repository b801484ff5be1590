"""What is particular to AudioMAE: its counts, its windows, its rate."""

import pytest

from modalities.audio import AudioSpectrogram
from omnimask.decoders import WindowDecoder
from omnimask.decoders.window import window_numbers
from recipes.audiomae import base
from tests.unit.masking_cases import keys, layout, part

SOUNDS = layout(audio=part({"t": 64, "f": 8}, (512,) * 2))


def test_102_of_512_patches_are_shown():
    (plan,) = base().masker(SOUNDS, keys(2))
    assert plan.num_visible == (102, 102)


def test_every_second_block_moves_its_windows_by_two_moments():
    decoder = base().decoders["main"]
    assert isinstance(decoder, WindowDecoder)
    (window,) = decoder.windows
    still = window_numbers(SOUNDS, window, shift=False).unflatten(0, (64, 8))
    moved = window_numbers(SOUNDS, window, shift=decoder.shift).unflatten(0, (64, 8))
    assert still.unique().numel() == 32
    assert (still[0] == still[3]).all()
    assert (still[3] != still[4]).all()
    assert (moved[0] == moved[1]).all()
    assert (moved[1] != moved[2]).all()
    assert moved[0, 0] == moved[0, 3]
    assert moved[0, 3] != moved[0, 4]


def test_spectrogram_and_rate_are_those_of_the_official_script():
    recipe = base()
    (audio,) = recipe.modalities
    assert isinstance(audio, AudioSpectrogram)
    assert (audio.window_frames, audio.num_mels, audio.mel_scale.num_fft) == (1024, 128, 512)
    assert audio.std == pytest.approx(9.138, abs=1e-3)
    assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == 512
    assert recipe.optim.lr == pytest.approx(4e-4)
    assert recipe.optim.warmup_steps * 11 == recipe.optim.steps
