import pytest
import torch.nn.functional as F
from torch import Tensor

from omnimask.errors import RecipeError
from omnimask.masking import InverseBlockMask, RandomMask
from tests.unit.masking_cases import keys, layout, part, shown
from tests.unit.test_masking_blocks import borders, hidden

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
