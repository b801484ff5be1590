import numpy as np
import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.masking import NoiseMask, RandomMask
from omnimask.masking.noise import COLORS
from tests.unit.masking_cases import keys, layout, part, shown

GRID = {"h": 14, "w": 14}


def reference(white: np.ndarray, color: str) -> np.ndarray:
    """Section 3 of https://arxiv.org/abs/2407.13036 with blurs of 0.5 and 2 tokens."""
    from scipy import ndimage

    narrow, wide = (ndimage.gaussian_filter(white, sigma, mode="constant") for sigma in (0.5, 2.0))
    filtered = {
        "red": wide,
        "blue": white - narrow,
        "green": narrow - wide,
        "purple": white - (narrow - wide),
    }[color]
    return filtered[(slice(8, -8),) * white.ndim]  # scipy cuts a blur of 2 tokens off at 8


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("sizes", [(9,), (5, 6), (2, 3, 4)])
def test_filters_like_scipy(color: str, sizes: tuple[int, ...]):
    rng, padded = keys(2), [size + 16 for size in sizes]
    white = rng.normal(int(np.prod(padded))).double().reshape(2, *padded).numpy()
    expected = np.stack([reference(row, color).ravel() for row in white])
    noise = NoiseMask(color=color).noise(sizes, rng)
    np.testing.assert_allclose(noise.numpy(), expected, atol=1e-6)


def hidden(masker: NoiseMask | RandomMask, rows: int = 200) -> torch.Tensor:
    (plan,) = masker(layout(image=part(GRID, [196] * rows)), keys(rows))
    return ~shown(plan, 196).reshape(rows, 14, 14)


def low_and_middle_power(flags: torch.Tensor) -> tuple[float, float]:
    """The shares of a mask's power below 0.1 and from 0.1 to 0.3 cycles per token."""
    field = flags.float() - flags.float().mean()
    power = torch.fft.fft2(field).abs().square().mean(dim=0)
    along = torch.fft.fftfreq(14)
    frequency = (along[:, None].square() + along.square()).sqrt()
    total = power.sum()
    middle = (frequency >= 0.1) & (frequency < 0.3)
    return float(power[frequency < 0.1].sum() / total), float(power[middle].sum() / total)


def test_each_color_has_its_part_of_the_spectrum():
    low, middle = {}, {}
    low["white"], middle["white"] = low_and_middle_power(hidden(RandomMask()))
    for color in COLORS:
        low[color], middle[color] = low_and_middle_power(hidden(NoiseMask(color=color)))
    assert low["red"] > 5 * low["white"]
    assert low["blue"] < 0.6 * low["white"]
    assert low["green"] < low["white"]
    assert middle["green"] > 1.2 * middle["white"]
    assert middle["purple"] < 0.8 * middle["white"]
    assert low["purple"] > 1.2 * low["white"]


@pytest.mark.parametrize("color", COLORS)
def test_hides_exactly_the_ratio_and_no_place_more_often_than_another(color: str):
    flags = hidden(NoiseMask(color=color), rows=600)
    assert flags.sum(dim=(1, 2)).tolist() == [147] * 600
    # Opposite borders included: the mask is a cutting from a larger pattern.
    assert (flags.float().mean(dim=0) - 0.75).abs().max() < 5 * (0.75 * 0.25 / 600) ** 0.5


def test_shows_where_the_noise_is_highest():
    masker, rng = NoiseMask(ratio=0.5), keys(3)
    (plan,) = masker(layout(image=part({"h": 2, "w": 3}, [6, 6, 3])), rng)
    noise = masker.noise((2, 3), rng.child("image"))
    flags = shown(plan, 6)
    assert noise[0][flags[0]].min() > noise[0][~flags[0]].max()
    assert int(noise[2, :3].argmax()) in flags[2].nonzero()
    assert plan.num_visible == (3, 3, 1)


def test_refuses_what_does_not_fit():
    with pytest.raises(RecipeError, match=r"got 'gren'; did you mean green"):
        NoiseMask(color="gren")
    with pytest.raises(RecipeError, match=r"write \(0.5, 2.0\)"):
        NoiseMask(sigmas=(2.0, 0.5))
    with pytest.raises(RecipeError, match="NoiseMask needs a grid, cloud has no grid"):
        NoiseMask().check(None, "cloud")
