"""What is particular to MW-MAE: 250 tokens, a window for each head, its rate."""

import pytest

from omnimask.decoders import WindowDecoder
from omnimask.decoders.window import window_numbers
from recipes.mwmae import base, large
from tests.unit.masking_cases import keys, layout, part

SOUNDS = layout(audio=part({"t": 50, "f": 5}, (250,) * 2))


def test_50_of_250_tokens_are_shown():
    recipe = base()
    assert recipe.modalities[0].grid == {"t": 50, "f": 5}
    (plan,) = recipe.masker(SOUNDS, keys(2))
    assert plan.num_visible == (50, 50)


def test_each_of_eight_heads_has_its_window_from_two_tokens_to_all():
    decoder = base().decoders["main"]
    assert isinstance(decoder, WindowDecoder)
    assert len(decoder.windows) == decoder.num_heads == 8
    sizes = [
        window_numbers(SOUNDS, window, shift=decoder.shift).bincount().unique().tolist()
        for window in decoder.windows
    ]
    assert sizes == [[2], [5], [10], [25], [50], [125], [250], [250]]


def test_the_rate_is_scaled_from_256_to_1024_samples():
    recipe = large()
    assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == 1024
    assert recipe.optim.lr == pytest.approx(6e-5)
    assert recipe.optim.warmup_steps * 10 == recipe.optim.steps
