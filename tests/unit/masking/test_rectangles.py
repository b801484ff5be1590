import math

import torch

from omnimask.masking.rectangles import (
    Rectangles,
    below,
    covering_order,
    draw_rectangles,
    log_uniform,
    mirror,
    roll,
)
from tests.unit.masking_cases import keys


def column(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)[:, None]


def test_two_blocks_on_a_grid_by_hand():
    blocks = Rectangles(
        top=torch.tensor([[1, 0]]),
        left=torch.tensor([[1, 0]]),
        height=torch.tensor([[2, 2]]),
        width=torch.tensor([[2, 2]]),
    )
    order = covering_order(blocks, (3, 3), keys(1)).flatten()
    # The first block row by row, then what the second adds, then the rest at random.
    assert order.argsort().tolist()[:7] == [4, 5, 7, 8, 0, 1, 3]
    assert set(order.argsort().tolist()[7:]) == {2, 6}


def test_blocks_may_reach_beyond_the_grid():
    beyond = torch.tensor([[-1]])
    blocks = Rectangles(
        top=beyond, left=beyond + 3, height=torch.tensor([[3]]), width=torch.tensor([[3]])
    )
    order = covering_order(blocks, (3, 3), keys(1)).flatten()
    assert order.argsort().tolist()[:2] == [2, 5]


def test_drawn_rectangles_fit_and_hold_their_area():
    rows, count = 50, 40
    high, wide = column(*([14] * 25 + [5] * 25)), column(*([14] * 25 + [9] * 25))
    area = 1 + below(high * wide, keys(rows, "area"), count)
    blocks = draw_rectangles(area, keys(rows), aspect=(0.3, 1 / 0.3), extent=(high, wide))
    assert (blocks.top >= 0).all()
    assert (blocks.left >= 0).all()
    assert (blocks.top + blocks.height <= high).all()
    assert (blocks.left + blocks.width <= wide).all()
    # Every border is reached.
    assert ((blocks.top == 0) & (blocks.height < high)).any(dim=1).all()
    assert ((blocks.top + blocks.height == high) & (blocks.top > 0)).any(dim=1).all()
    assert ((blocks.left + blocks.width == wide) & (blocks.left > 0)).any(dim=1).all()
    held = blocks.height * blocks.width
    assert (held >= area).all()
    assert (held - area < blocks.height).all()  # not a column more than needed
    small = (area > 20) & (area < 40) & (high == 14)
    ratios = (blocks.height / blocks.width)[small]
    assert ratios.min() < 0.5
    assert ratios.max() > 2.0
    assert ((ratios > 0.2) & (ratios < 5)).all()


def test_integers_below_a_limit_reach_every_one_and_never_the_limit():
    drawn = below(column(*[5] * 200), keys(200), 20)
    assert drawn.unique().tolist() == [0, 1, 2, 3, 4]


def test_log_uniform_is_as_often_below_one_as_above():
    drawn = log_uniform(keys(100), 100, (0.25, 4.0))
    assert 0.25 <= drawn.min() < 0.3
    assert 3.5 < drawn.max() <= 4.0
    assert abs(drawn.log().mean()) < 5 * (2 * math.log(4)) / math.sqrt(12 * 10_000)


def test_rolling_goes_around_the_borders_of_the_extent():
    cells = torch.arange(12.0).reshape(1, 12)
    rolled = roll(cells, (4, 3), shift=(column(1), column(2)), extent=(column(3), column(3)))
    expected = cells.reshape(4, 3)[:3].roll((1, 2), (0, 1))
    assert torch.equal(rolled.reshape(4, 3)[:3], expected)


def test_mirrors_within_the_extent_by_hand():
    cells = torch.arange(6.0)[None].repeat(3, 1)
    turned = mirror(
        cells,
        (3, 2),
        flip=(torch.tensor([[True], [False], [True]]), torch.tensor([[False], [True], [True]])),
        extent=(column(2, 3, 3), column(2, 2, 2)),
    )
    assert turned.tolist() == [[2, 3, 0, 1, 4, 5], [1, 0, 3, 2, 5, 4], [5, 4, 3, 2, 1, 0]]
