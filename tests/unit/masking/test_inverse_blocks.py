import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.masking import InverseBlockMask, RandomMask
from tests.unit.masking.test_blocks import borders, hidden
from tests.unit.masking_cases import keys, layout, part, shown

CAPI = InverseBlockMask(ratio=0.65, block=None, aspect=(0.5, 2.0), roll=True)


def test_shows_exactly_the_ratio_in_blocks():
    flags = ~hidden(InverseBlockMask(ratio=0.8, block=3))
    assert flags.sum(dim=(1, 2)).tolist() == [39] * 40
    assert borders(flags).mean() < 0.6 * borders(hidden(RandomMask(ratio=0.8))).mean()
    # Blocks of three by three: hardly any visible place stands alone.
    padded = flags.float().unsqueeze(1)
    neighbours = _neighbours(padded)[:, 0][flags]
    assert (neighbours == 0).float().mean() < 0.02


def _neighbours(flags: Tensor) -> Tensor:
    kernel = flags.new_ones(1, 1, 3, 3)
    kernel[0, 0, 1, 1] = 0
    return F.conv2d(flags, kernel, padding=1)


def test_all_but_the_last_cut_square_is_a_union_of_squares():
    flags = ~hidden(InverseBlockMask(ratio=0.8, block=3), rows=200)
    # A square around a place of the grid may reach one place beyond it, where all counts as shown.
    beyond = F.pad(flags.float().unsqueeze(1), (1, 1, 1, 1), value=1.0)
    centres = -F.max_pool2d(-beyond, 3, stride=1)
    squares = F.max_pool2d(centres, 3, stride=1, padding=1)[:, 0].bool()
    assert not (squares & ~flags).any()
    assert (flags & ~squares).sum(dim=(1, 2)).max() <= 8


def data2vec(random: np.random.Generator) -> np.ndarray:
    """data2vec 2.0's published code for images: five squares, then single places to the number."""
    shown = np.zeros((14, 14), bool)
    for row, column in random.integers(0, 14, (int(196 * (0.2 + 0.07) / 9), 2)):
        shown[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
    while (missing := int(196 * 0.2) - shown.sum()) != 0:
        single = random.choice(np.flatnonzero(shown.ravel() == (missing < 0)))
        shown.ravel()[single] ^= True
    return shown


def test_shows_the_same_places_as_often_as_data2vec_does():
    random = np.random.default_rng(0)
    reference = torch.from_numpy(np.stack([data2vec(random) for _ in range(800)]))
    flags = ~hidden(InverseBlockMask(ratio=0.8, block=3), rows=800)
    difference = flags.float().mean(dim=0) - reference.float().mean(dim=0)
    assert difference.abs().mean() < 0.04
    assert difference.abs().max() < 0.12
    # Whole squares where data2vec adds and takes single places: a shorter border.
    assert 0.6 < borders(flags).mean() / borders(reference).mean() < 1.0


def test_squares_are_cut_alike_at_all_borders():
    frequency = (~hidden(InverseBlockMask(ratio=0.8, block=5), rows=1500)).float().mean(dim=0)
    corners = frequency[[0, 0, -1, -1], [0, -1, 0, -1]]
    # A corner is in one of nine squares that an inner place is in of 25.
    assert (corners / frequency[5:9, 5:9].mean()).sub(9 / 25).abs().max() < 0.15


def test_one_block_is_a_rectangle_with_a_cut_last_row():
    flags = ~hidden(InverseBlockMask(ratio=0.65, block=None, aspect=(0.5, 2.0)))
    assert flags.sum(dim=(1, 2)).tolist() == [69] * 40
    for row in flags:
        widths = row.sum(dim=1)
        full = widths[widths > 0]
        assert (full[:-1] == full[0]).all()
        assert full[-1] <= full[0]


def capi(random: np.random.Generator) -> np.ndarray:
    """CAPI's published code: one rectangle, cut to the number of places, rolled."""
    ratio = math.exp(random.uniform(math.log(0.5), math.log(2)))
    h, w = math.ceil(math.sqrt(69 * ratio)), math.ceil(math.sqrt(69 / ratio))
    shown = np.zeros((14, 14), bool)
    top, left = random.integers(0, 15 - h), random.integers(0, 15 - w)
    shown[top : top + h, left : left + w] = True
    shown.ravel()[np.flatnonzero(shown)[69:]] = False
    return np.roll(shown, tuple(random.integers(0, 14, 2)), axis=(0, 1))


def sides(flags: Tensor) -> Tensor:
    """Per row (b h w), in how many rows and columns something is shown; (b 2)."""
    return torch.stack([flags.any(dim=2).sum(dim=1), flags.any(dim=1).sum(dim=1)], dim=1).float()


def test_rolled_rectangles_have_the_sides_that_capi_draws():
    random = np.random.default_rng(0)
    reference = torch.from_numpy(np.stack([capi(random) for _ in range(800)]))
    flags = ~hidden(CAPI, rows=800)
    assert (sides(flags).mean(dim=0) - sides(reference).mean(dim=0)).abs().max() < 0.5
    assert (sides(flags).std(dim=0) - sides(reference).std(dim=0)).abs().max() < 0.3


def test_rolled_it_is_one_rectangle_around_the_borders():
    for row in ~hidden(CAPI, rows=60):
        patterns = sorted({tuple(line.tolist()) for line in row if line.any()}, key=sum)
        assert len(patterns) <= 2  # whole lines, and the cut one
        assert all(whole >= cut for whole, cut in zip(patterns[-1], patterns[0], strict=True))
        for along in (torch.tensor(patterns[-1]), row.any(dim=1)):
            assert (along != along.roll(1)).sum() == 2


def test_rolled_every_place_is_visible_equally_often():
    rows = 2000
    (plan,) = CAPI(layout(image=part({"h": 6, "w": 6}, [36] * rows)), keys(rows))
    frequency = shown(plan, 36).float().mean(dim=0)
    share = plan.num_visible[0] / 36
    assert (frequency - share).abs().max() < 5 * (share * (1 - share) / rows) ** 0.5


def test_unrolled_the_middle_is_visible_more_often():
    rows = 500
    masker = InverseBlockMask(ratio=0.65, block=None)
    (plan,) = masker(layout(image=part({"h": 6, "w": 6}, [36] * rows)), keys(rows))
    frequency = shown(plan, 36).float().mean(dim=0).reshape(6, 6)
    assert frequency[2, 2] > 2 * frequency[0, 0]


def test_refuses_impossible_fields():
    with pytest.raises(RecipeError, match="block must be >= 1"):
        InverseBlockMask(block=0)
    with pytest.raises(RecipeError, match="aspect is for block=None"):
        InverseBlockMask(block=3, aspect=(0.5, 2.0))
