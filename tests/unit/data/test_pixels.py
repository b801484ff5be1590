"""Crop boxes, channel statistics and patches that images and videos share."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from omnimask.data.pixels import (
    Box,
    Channels,
    as_dtype,
    as_unit,
    center_box,
    measure_channels,
    patchify,
    random_box,
    resize,
    unpatchify,
)
from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Sample, Visit
from omnimask.tokens.tokens import grid_coords
from tests.sync_watch import SyncWatch

sides = st.integers(1, 400)


def philox(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=key))


def is_inside(box: Box, height: int, width: int) -> bool:
    rows = box.top >= 0 and box.height >= 1 and box.top + box.height <= height
    return rows and box.left >= 0 and box.width >= 1 and box.left + box.width <= width


@given(key=st.integers(0, 2**32), height=sides, width=sides)
def test_random_box_is_inside(key: int, height: int, width: int) -> None:
    box = random_box(philox(key), height, width, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3))
    assert is_inside(box, height, width)


@given(height=sides, width=sides, aspect=st.floats(0.1, 10))
def test_center_box_is_inside_and_touches_two_sides(height: int, width: int, aspect: float) -> None:
    box = center_box(height, width, aspect=aspect)
    assert is_inside(box, height, width)
    assert box.height == height or box.width == width


def test_center_box_is_in_the_middle() -> None:
    assert center_box(100, 60, aspect=1.0) == Box(top=20, left=0, height=60, width=60)
    assert center_box(60, 100, aspect=0.5) == Box(top=0, left=35, height=60, width=30)


def test_random_boxes_have_the_areas_and_aspects_asked_for() -> None:
    boxes = [
        random_box(philox(key), 300, 300, scale=(0.2, 0.6), ratio=(0.5, 2.0)) for key in range(2000)
    ]
    areas = np.array([box.height * box.width / 300**2 for box in boxes])
    aspects = np.array([math.log2(box.width / box.height) for box in boxes])
    assert 0.19 < areas.min() < 0.21
    assert 0.55 < areas.max() < 0.61
    # Some wide boxes do not fit and are drawn again, so that large areas are a little rarer.
    assert np.mean(areas) == pytest.approx(0.4, abs=0.02)
    assert np.abs(aspects).max() < 1.02
    assert np.mean(aspects) == pytest.approx(0.0, abs=0.05)
    tops = np.array([box.top / max(300 - box.height, 1) for box in boxes])
    assert np.mean(tops) == pytest.approx(0.5, abs=0.02)


@given(key=st.integers(0, 2**32))
def test_aligned_maps_of_two_sizes_are_cropped_alike(key: int) -> None:
    small = random_box(philox(key), 120, 160, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3))
    large = random_box(philox(key), 480, 640, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3))
    for part in ("top", "left", "height", "width"):
        assert abs(4 * getattr(small, part) - getattr(large, part)) <= 6


def test_a_box_that_never_fits_is_the_largest_of_the_nearest_aspect() -> None:
    box = random_box(philox(0), 10, 100, scale=(1.0, 1.0), ratio=(1.0, 2.0))
    assert (box.height, box.width) == (10, 20)


def test_a_box_cuts_its_rows_and_columns() -> None:
    pixels = torch.arange(2 * 5 * 6).reshape(2, 5, 6)
    cut = Box(top=1, left=2, height=3, width=4).cut(pixels)
    assert torch.equal(cut, pixels[:, 1:4, 2:6])


def test_resize_averages_where_it_shrinks() -> None:
    stripes = torch.tensor([0, 200]).repeat(8).expand(1, 16, 16).to(torch.uint8)
    small = resize(stripes, (4, 4), "bilinear")
    assert small.dtype == torch.uint8
    # The inner columns; at the border the filter is cut off in the middle of a stripe.
    assert (small[:, :, 1:3].int() - 100).abs().max() < 12


class Rows:
    """A source of given samples."""

    def __init__(self, samples: list[Tensor]) -> None:
        self.samples, self.asked = samples, []

    def __len__(self) -> int:
        return len(self.samples)

    def name(self, index: int, /) -> str:
        return f"sample {index}"

    def label(self, index: int, /) -> None:
        return None

    def read(self, index: int, visit: Visit, /) -> Sample:
        assert not visit.augment
        self.asked.append(index)
        return {"pixels": self.samples[index]}


def test_statistics_are_those_of_all_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = [torch.rand(5, 3, 4, 6, generator=generator) * k for k in range(1, 4)]
    mean, std = measure_channels(Rows(samples), "pixels", num_channels=3)
    together = torch.cat(samples).movedim(1, 0).flatten(1).double()
    assert mean == pytest.approx(together.mean(dim=1).tolist())
    assert std == pytest.approx(together.std(dim=1, correction=0).tolist())


def test_statistics_of_8_bit_are_in_unit_range() -> None:
    image = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    assert measure_channels(Rows([image]), "pixels", num_channels=1) == ((0.5,), (0.5,))


def test_at_most_256_samples_spread_evenly_are_measured() -> None:
    rows = Rows([torch.rand(1, 2, 2) for _ in range(1000)])
    measure_channels(rows, "pixels", num_channels=1)
    assert len(rows.asked) == 256
    assert (rows.asked[0], rows.asked[-1]) == (0, 999)
    assert max(np.diff(rows.asked)) <= 4


def test_a_constant_channel_has_deviation_one() -> None:
    image = torch.stack([torch.rand(4, 4), torch.ones(4, 4)])
    mean, std = measure_channels(Rows([image]), "pixels", num_channels=2)
    assert (mean[1], std[1]) == (1.0, 1.0)


def test_samples_without_any_contrast_are_refused() -> None:
    with pytest.raises(DataError, match="sample 0"):
        measure_channels(Rows([torch.full((3, 4, 4), 0.3)]), "pixels", num_channels=3)


def test_unit_range_and_back() -> None:
    eight_bit = torch.arange(256).to(torch.uint8)
    assert torch.equal(as_dtype(as_unit(eight_bit), torch.uint8), eight_bit)
    assert as_dtype(torch.tensor([-0.5, 1.7]), torch.uint8).tolist() == [0, 255]
    floats = torch.tensor([-3.0, 1e4])
    assert torch.equal(as_dtype(as_unit(floats), torch.float32), floats)


def test_numbers_are_filled_in_without_a_copy_from_the_host() -> None:
    with SyncWatch() as watch:
        channels = Channels.of("image", (0.25, 0.5), (1.0, 2.0), torch.device("cpu"))
    assert not watch.waits
    assert not watch.host_copies
    assert channels.mean.tolist() == [[[0.25]], [[0.5]]]
    assert channels.std.tolist() == [[[1.0]], [[2.0]]]


def test_patches_are_in_order_and_channels_fastest() -> None:
    t, c, h, w = 4, 3, 4, 6
    pixels = torch.arange(t * c * h * w).reshape(1, t, c, h, w)
    values = patchify(pixels, (2, 2, 3))
    assert values.shape == (1, 2 * 2 * 2, 2 * 2 * 3 * 3)
    by_hand = [
        pixels[0, 2 + dt, channel, dy, 3 + dx].item()  # the tubelet at (t, h, w) = (1, 0, 1)
        for dt in range(2)
        for dy in range(2)
        for dx in range(3)
        for channel in range(3)
    ]
    assert values[0, 1 * 4 + 0 * 2 + 1].tolist() == by_hand
    assert torch.equal(unpatchify(values, (2, 2, 3), (2, 2, 2)), pixels)


def test_grid_coords_run_along_the_last_axis_first() -> None:
    coords = grid_coords({"h": 2, "w": 3}, torch.device("cpu"))
    assert coords.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
