import numpy as np
import pytest
import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.masking import BlockMask, InverseBlockMask, RandomMask
from tests.unit.masking_cases import keys, layout, part, shown

GRID = {"h": 14, "w": 14}


def borders(flags: Tensor) -> Tensor:
    """Per row (b h w), the number of neighbouring places of which one is flagged."""
    down = flags[:, 1:] != flags[:, :-1]
    across = flags[:, :, 1:] != flags[:, :, :-1]
    return (down.sum(dim=(1, 2)) + across.sum(dim=(1, 2))).float()


def hidden(masker: BlockMask | InverseBlockMask | RandomMask, rows: int = 40) -> Tensor:
    (plan,) = masker(layout(image=part(GRID, [196] * rows)), keys(rows))
    return ~shown(plan, 196).reshape(rows, 14, 14)


def test_hides_exactly_the_ratio_in_few_pieces():
    flags = hidden(BlockMask())
    assert flags.sum(dim=(1, 2)).tolist() == [78] * 40
    assert borders(flags).mean() < 0.5 * borders(hidden(RandomMask(ratio=0.4))).mean()


def test_a_small_share_is_one_rectangle():
    flags = hidden(BlockMask(ratio=16 / 196, aspect=(1.0, 1.0)))
    for row in flags:
        places = row.nonzero()
        assert (places.amax(dim=0) - places.amin(dim=0)).tolist() == [3, 3]


def beit(random: np.random.Generator, target: int) -> np.ndarray:
    """Algorithm 1 of https://arxiv.org/abs/2106.08254: blocks one by one, up to what is missing."""
    mask = np.zeros((14, 14), bool)
    while (missing := target - mask.sum()) > 0:
        area, ratio = random.uniform(min(16, missing), missing), random.uniform(np.log(0.3), 0)
        ratio = np.exp(ratio * random.choice([-1, 1]))
        h, w = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if h < 14 and w < 14:
            top, left = random.integers(0, 15 - h), random.integers(0, 15 - w)
            block = np.zeros_like(mask)
            block[top : top + h, left : left + w] = True
            if 0 < (block & ~mask).sum() <= missing:
                mask |= block
    return mask


def test_hides_the_same_places_as_often_as_beit_does():
    random = np.random.default_rng(0)
    reference = torch.from_numpy(np.stack([beit(random, 78) for _ in range(400)]))
    flags = hidden(BlockMask(), rows=400)
    difference = flags.float().mean(dim=0) - reference.float().mean(dim=0)
    assert difference.abs().mean() < 0.06
    assert abs(borders(flags).mean() / borders(reference).mean() - 1) < 0.25
    assert flags.float().mean(dim=0).min() > 0.0


def test_high_ratios_are_reached_by_blocks():
    flags = hidden(BlockMask(ratio=0.9, min_tokens=4))
    assert flags.sum(dim=(1, 2)).tolist() == [176] * 40
    assert borders(flags).mean() < borders(hidden(RandomMask(ratio=0.9))).mean()


def test_blocks_span_all_frames():
    video = {"t": 3, "h": 6, "w": 6}
    (plan,) = BlockMask(ratio=0.5, min_tokens=4)(layout(video=part(video, [108, 72])), keys(2))
    frames = shown(plan, 108).reshape(2, 3, 36)
    assert (frames[0] == frames[0, :1]).all()
    assert (frames[1, 0] == frames[1, 1]).all()
    assert plan.num_visible == (54, 36)


def test_blocks_lie_within_a_short_recording():
    (plan,) = BlockMask(ratio=0.25, min_tokens=4, aspect=(1.0, 1.0))(
        layout(sound=part({"t": 30, "f": 8}, [64] * 20)), keys(20)
    )
    flags = torch.zeros(20, 30, 8, dtype=torch.bool)
    flags[:, :8] = ~shown(plan, 240).reshape(20, 30, 8)[:, :8]
    assert flags.sum(dim=(1, 2)).tolist() == [16] * 20
    assert borders(flags).mean() < 25  # a square of 16 has a border of 16


@pytest.mark.parametrize("masker", [BlockMask(), InverseBlockMask()])
def test_says_what_does_not_fit(masker: BlockMask | InverseBlockMask):
    with pytest.raises(RecipeError, match="toy has t=8; use AxisMask"):
        masker.check({"t": 8}, "toy")
    with pytest.raises(RecipeError, match="cloud has no grid; use RandomMask or NearestMask"):
        masker.check(None, "cloud")


def test_refuses_impossible_fields():
    with pytest.raises(RecipeError, match="min_tokens must be >= 1"):
        BlockMask(min_tokens=0)
    with pytest.raises(RecipeError, match="0 < low <= high"):
        BlockMask(aspect=(2.0, 0.5))
