"""SampleByHint: masks as MAMP publishes them, and those of RandomMask where nothing guides."""

import math

import numpy as np
import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.masking import ChangeHint, RandomMask, SampleByHint
from omnimask.tokens.tokens import Tokens, grid_coords
from tests.unit.masking_cases import keys, layout, part, shown

ROWS = 3000


def hidden_shares(masker, hint: torch.Tensor) -> torch.Tensor:
    whole = layout(toy=part(hint.shape[1], [hint.shape[1]] * ROWS))
    (plan,) = masker(whole, keys(ROWS), {"motion": hint.expand(ROWS, -1)})
    return 1 - shown(plan, hint.shape[1]).float().mean(dim=0)


def mamp(random: np.random.Generator, motion: np.ndarray, *, ratio: float, tau: float):
    """Its formula for one sample: True is hidden."""
    scaled = motion / (motion.max() * tau + 1e-10)
    probability = np.exp(scaled) / np.exp(scaled).sum()
    noise = np.log(probability) - np.log(-np.log(random.random(len(motion)) + 1e-10) + 1e-10)
    hidden = np.ones(len(motion), bool)
    hidden[noise.argsort()[: int(len(motion) * (1 - ratio))]] = False
    return hidden


@pytest.mark.parametrize("tau", [0.3, 0.8])
def test_hides_every_token_as_often_as_mamp_does(tau: float):
    motion = torch.tensor([[0.0, 0.1, 0.2, 0.4, 0.4, 0.7, 0.9, 1.0, 2.0, 2.5]])
    found = hidden_shares(SampleByHint(ratio=0.5, hint="motion", temperature=tau), motion)
    random = np.random.default_rng(0)
    expected = np.mean(
        [mamp(random, motion[0].numpy(), ratio=0.5, tau=tau) for _ in range(ROWS)], axis=0
    )
    assert np.abs(found.numpy() - expected).max() < 5 * math.sqrt(2 * 0.25 / ROWS)
    assert found[-1] > found[0] + 0.2


def test_low_hides_what_high_shows():
    motion = torch.tensor([[0.0, 0.0, 0.0, 5.0, 5.0, 5.0]])
    sharp = SampleByHint(ratio=0.5, hint="motion", temperature=0.02)
    assert hidden_shares(sharp, motion).tolist() == [0, 0, 0, 1, 1, 1]
    low = SampleByHint(ratio=0.5, hint="motion", temperature=0.02, hide="low")
    assert hidden_shares(low, motion).tolist() == [1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("hide", ["high", "low"])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_the_same_number_everywhere_is_a_random_mask(hide, value: float):
    """Each token is hidden as often as by RandomMask, within four standard errors."""
    hint = torch.full((1, 12), value)
    found = hidden_shares(SampleByHint(ratio=0.75, hint="motion", hide=hide), hint)
    assert (found - 0.75).abs().max() < 4 * math.sqrt(0.75 * 0.25 / ROWS)
    assert hidden_shares(RandomMask(), hint).mean() == found.mean()


def test_a_hint_that_is_missing_is_named():
    with pytest.raises(RecipeError, match="asks for 'motion', hints given: none"):
        SampleByHint(hint="motion")(layout(toy=part(4, [4])), keys(1))
    with pytest.raises(RecipeError, match="temperature must be positive"):
        SampleByHint(hint="motion", temperature=0.0)


def test_change_is_that_of_mamp_and_zero_where_something_is_missing():
    """Three moments of two joints; the first moment has the second one's change."""
    values = torch.tensor([[[1.0, 0], [5, 5], [2, 2], [5, 5], [2, 6], [1, 5]]])
    valid = torch.ones(1, 6, dtype=torch.bool)
    grid = {"t": 3, "joint": 2}
    tokens = Tokens(
        values=values,
        coords=grid_coords(grid, values.device)[None],
        valid=valid,
        scorable=valid,
        num_valid=(6,),
        num_scorable=(6,),
        grid=grid,
    )
    hint = ChangeHint()
    assert hint(tokens).tolist() == [[1.5, 0.0, 1.5, 0.0, 2.0, 2.0]]
    valid[0, 4] = False
    assert hint(tokens).tolist() == [[1.5, 0.0, 1.5, 0.0, 0.0, 2.0]]
    assert ChangeHint(axis="joint")(tokens).tolist() == [[4.5, 4.5, 3.0, 3.0, 0.0, 0.0]]
    assert hint.fits(grid)
    assert not hint.fits(None)
    assert not hint.fits({"h": 4, "w": 4})
