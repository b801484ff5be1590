"""Where cells of another grid stand on the axes of pretraining."""

import pytest
import torch

from omnimask import RecipeError
from omnimask.network.positions import SinCosPosition
from omnimask.network.trained_axis import TrainedAxis, check_axes, continued_axes, extents


def test_a_resized_axis_covers_what_the_old_one_covered():
    axes, lines = continued_axes("x", None, ({"h": 4}, {"h": 8}), ratios=(None,))
    assert axes == (TrainedAxis(cells=4.0, step=0.5),)
    assert lines == ()
    assert extents(axes, {"h": 8}) == (8.0,)


def test_the_same_grid_has_no_axes_again():
    first, _ = continued_axes("x", None, ({"h": 4}, {"h": 8}), ratios=(None,))
    again, _ = continued_axes("x", first, ({"h": 8}, {"h": 4}), ratios=(None,))
    assert again is None


def test_a_shorter_time_keeps_its_cells_and_a_longer_one_is_squeezed():
    shorter, lines = continued_axes("x", None, ({"t": 8}, {"t": 4}), ratios=(1.0,))
    assert shorter == (TrainedAxis(cells=8.0, step=1.0),)
    assert extents(shorter, {"t": 4}) == (8.0,)
    assert lines == ()
    longer, lines = continued_axes("x", None, ({"t": 8}, {"t": 32}), ratios=(0.5,))
    assert longer == (TrainedAxis(cells=8.0, step=0.25),)
    assert "squeezed by 0.5" in lines[0]
    shrunk_again, _ = continued_axes("x", longer, ({"t": 32}, {"t": 8}), ratios=(2.0,))
    assert shrunk_again == (TrainedAxis(cells=8.0, step=0.5),)


def test_waves_stand_where_the_same_place_stood():
    coarse = SinCosPosition(8, 1)
    fine = SinCosPosition(8, 1, axes=(TrainedAxis(cells=4.0, step=0.5),))
    cells = torch.arange(8.0)[:, None]
    torch.testing.assert_close(fine(cells), coarse((cells + 0.5) / 2 - 0.5))


def test_axes_that_cannot_be_are_refused():
    with pytest.raises(RecipeError, match="must be positive"):
        TrainedAxis(cells=4.0, step=0.0)
    with pytest.raises(RecipeError, match="one TrainedAxis for each of 2 axes, got 1"):
        check_axes("x", (TrainedAxis(cells=4.0, step=1.0),), {"h": 2, "w": 2})
