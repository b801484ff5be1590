import math

import numpy as np
import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.masking import MultiBlockMask, RandomMask
from omnimask.masking.multi_blocks import mean_coverage
from tests.unit.masking.test_blocks import borders
from tests.unit.masking_cases import keys, layout, part, shown

SHORT, LONG = MultiBlockMask(), MultiBlockMask(num_blocks=2, share=0.7)
VIDEO = {"t": 2, "h": 14, "w": 14}


def jepa(random: np.random.Generator, masker: MultiBlockMask, side: int) -> np.ndarray:
    """V-JEPA's published code: one size, several places, again if nothing is left to see."""
    ratio, area = random.uniform(0.75, 1.5), int(side * side * masker.share)
    h, w = (min(round(math.sqrt(squared)), side) for squared in (area * ratio, area / ratio))
    while True:
        mask = np.zeros((side, side), bool)
        for _ in range(masker.num_blocks):
            top, left = random.integers(0, side - h + 1), random.integers(0, side - w + 1)
            mask[top : top + h, left : left + w] = True
        if not mask.all():
            return mask


def reference(masker: MultiBlockMask, side: int = 14) -> torch.Tensor:
    random = np.random.default_rng(0)
    masks = [jepa(random, masker, side) for _ in range(1500)]
    return torch.from_numpy(np.stack(masks))


def hidden(masker: MultiBlockMask, rows: int = 600) -> torch.Tensor:
    (plan,) = masker(layout(video=part(VIDEO, [392] * rows)), keys(rows))
    flags = ~shown(plan, 392).reshape(rows, 2, 14, 14)
    assert (flags[:, 0] == flags[:, 1]).all()
    return flags[:, 0]


@pytest.mark.parametrize(("masker", "side"), [(SHORT, 14), (LONG, 14), (LONG, 5)])
def test_the_mean_coverage_is_that_of_jepa(masker: MultiBlockMask, side: int):
    expected = float(reference(masker, side).float().mean())
    assert abs(mean_coverage(masker, (side, side)) - expected) < 0.015


@pytest.mark.parametrize("masker", [SHORT, LONG])
def test_every_sample_hides_the_mean(masker: MultiBlockMask):
    counts = hidden(masker).sum(dim=(1, 2))
    assert counts.unique().tolist() == [round(mean_coverage(masker, (14, 14)) * 196)]


@pytest.mark.parametrize("masker", [SHORT, LONG])
def test_hides_the_same_places_as_often_as_jepa_does(masker: MultiBlockMask):
    flags, expected = hidden(masker).float(), reference(masker).float()
    difference = flags.mean(dim=0) - expected.mean(dim=0)
    assert difference.abs().max() < 0.1
    assert difference.abs().mean() < 0.03
    assert abs(borders(flags).mean() / borders(expected).mean() - 1) < 0.25
    assert borders(flags).mean() < 0.6 * borders(_random(flags)).mean()


@pytest.mark.parametrize("masker", [SHORT, LONG])
def test_no_side_is_shown_more_often(masker: MultiBlockMask):
    frequency = hidden(masker, rows=2000).float().mean(dim=0)
    for turned in (frequency.flip(0), frequency.flip(1)):
        assert (frequency - turned).abs().max() < 5 * (2 * 0.25 / 2000) ** 0.5


def _random(flags: torch.Tensor) -> torch.Tensor:
    (plan,) = RandomMask(ratio=float(flags.mean()))(
        layout(image=part({"h": 14, "w": 14}, [196] * 50)), keys(50)
    )
    return shown(plan, 196).reshape(50, 14, 14)


def test_one_block_is_one_rectangle_of_its_share():
    masker = MultiBlockMask(num_blocks=1, share=0.25, aspect=(1.0, 1.0))
    (plan,) = masker(layout(image=part({"h": 8, "w": 12}, [96] * 20)), keys(20))
    for row in ~shown(plan, 96).reshape(20, 8, 12):
        places = row.nonzero()
        assert len(places) == 25  # 24 places are nearest to a square of 5
        assert (places.amax(dim=0) - places.amin(dim=0)).tolist() == [4, 4]


def test_blocks_hold_their_share_on_a_narrow_grid():
    masker = MultiBlockMask(num_blocks=1, share=0.7)
    for grid in ({"t": 40, "f": 5}, {"f": 5, "t": 40}):
        (plan,) = masker(layout(sound=part(grid, [200] * 5)), keys(5))
        assert plan.num_visible == (60,) * 5


def test_on_one_axis_blocks_are_intervals():
    masker = MultiBlockMask(num_blocks=1, share=0.3)
    (plan,) = masker(layout(line=part({"n": 20}, [20] * 20)), keys(20))
    for row in ~shown(plan, 20):
        places = row.nonzero().flatten()
        assert places.tolist() == list(range(int(places[0]), int(places[0]) + 6))


def test_blocks_lie_within_a_short_recording():
    (plan,) = MultiBlockMask(num_blocks=1, share=0.25, aspect=(1.0, 1.0))(
        layout(sound=part({"t": 30, "f": 8}, [64] * 20)), keys(20)
    )
    assert plan.num_visible == (48,) * 20
    flags = torch.zeros(20, 30, 8, dtype=torch.bool)
    flags[:, :8] = ~shown(plan, 240).reshape(20, 30, 8)[:, :8]
    assert borders(flags).max() <= 16  # a square of 16 has a border of 16


def test_the_blocks_of_all_places_show_one():
    whole = layout(image=part({"h": 2, "w": 2}, [4] * 5))
    (plan,) = MultiBlockMask(num_blocks=50, share=0.5)(whole, keys(5))
    assert plan.num_visible == (1,) * 5


def test_refuses_what_does_not_fit():
    with pytest.raises(RecipeError, match="num_blocks must be >= 1"):
        MultiBlockMask(num_blocks=0)
    with pytest.raises(RecipeError, match=r"share must be in \(0, 1\), got 15; write 0.15"):
        MultiBlockMask(share=15.0)
    with pytest.raises(RecipeError, match="0 < low <= high"):
        MultiBlockMask(aspect=(1.5, 0.75))
    with pytest.raises(RecipeError, match="MultiBlockMask needs a grid, cloud has no grid"):
        MultiBlockMask().check(None, "cloud")
