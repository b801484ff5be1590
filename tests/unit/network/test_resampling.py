"""Resampled weights beside timm's, and what the formula promises."""

import numpy as np
import pytest
import torch

from omnimask.network.positions import LearnedPosition
from omnimask.network.resampling import (
    kept_statistics,
    resample_channels,
    resample_kernel,
    resample_linear,
    resample_positions,
    resize_matrix,
)
from omnimask.network.trained_axis import TrainedAxis


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("old", "new"), [((16, 16), (8, 8)), ((8, 8), (16, 16)), ((14, 16), (16, 10)), ((4, 4), (4, 7))]
)
def test_kernels_of_pictures_are_timms(old: tuple[int, int], new: tuple[int, int]):
    from timm.layers.patch_embed import resample_patch_embed

    convolution = random(5, 3, *old)
    expected = resample_patch_embed(convolution, list(new)).permute(0, 2, 3, 1).flatten(1)
    linear = convolution.permute(0, 2, 3, 1).flatten(1)  # channels fastest
    found = resample_kernel(linear, (*old, 3), (*new, 3))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_kernels_of_clips_are_the_pseudo_inverse_of_the_whole_resize():
    old, new = (2, 4, 4, 3), (3, 6, 2, 3)
    weight = random(5, 2 * 4 * 4 * 3)
    resize = np.eye(1)
    for was, becomes in zip(old[:3], new[:3]):
        resize = np.kron(resize, resize_matrix(was, becomes).numpy())
    inverse = torch.from_numpy(np.linalg.pinv(resize)).float()
    kernel = weight.unflatten(1, (32, 3))
    expected = torch.einsum("dvc,vw->dwc", kernel, inverse).flatten(1)
    torch.testing.assert_close(resample_kernel(weight, old, new), expected, rtol=0, atol=1e-5)


def test_a_patch_that_grew_has_the_same_output():
    old, new = (2, 4, 4, 1), (4, 8, 6, 1)
    weight, patch = random(5, 32), random(2, 4, 4).double()
    grown = patch
    for axis, (was, becomes) in enumerate(zip(old[:3], new[:3])):
        grown = (grown.movedim(axis, -1) @ resize_matrix(was, becomes).T).movedim(-1, axis)
    resampled = resample_kernel(weight, old, new)
    before, after = weight @ patch.flatten().float(), resampled @ grown.flatten().float()
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)


@pytest.mark.parametrize("new", [1, 2, 3, 4, 7])
def test_channels_are_timms(new: int):
    from timm.models._manipulate import adapt_input_conv

    convolution = random(5, 3, 2, 2)
    expected = adapt_input_conv(new, convolution).permute(0, 2, 3, 1).flatten(1)
    linear = convolution.permute(0, 2, 3, 1).flatten(1)
    found = resample_channels(linear, old=3, new=new)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_lines_say_what_was_resampled():
    state = {"weight": random(5, 4 * 4 * 3), "bias": random(5)}
    same = resample_linear("x", state, old=(4, 4, 3), new=(4, 4, 3))
    assert same.lines == ()
    assert same.state["weight"] is state["weight"]
    both = resample_linear("x", state, old=(4, 4, 3), new=(8, 8, 1))
    assert both.state["weight"].shape == (5, 64)
    assert torch.equal(both.state["bias"], state["bias"])
    assert [("4x4 to 8x8" in line, "summed" in line) for line in both.lines] == [
        (True, False),
        (False, True),
    ]


def test_learned_tables_are_read_at_the_places_of_the_new_cells():
    module = LearnedPosition(6, (4, 3))
    state = {name: value.detach() for name, value in module.state_dict().items()}
    axes = (TrainedAxis(cells=4.0, step=0.5), TrainedAxis(cells=3.0, step=1.0))
    grids = ({"h": 4, "w": 3}, {"h": 8, "w": 3})
    found = resample_positions("x", state, axes=(None, axes), grids=grids)
    places = torch.tensor([[(i + 0.5) / 2 - 0.5, float(j)] for i in range(8) for j in range(3)])
    wider = LearnedPosition(6, (8, 3))
    wider.load_state_dict(dict(found.state))
    cells = torch.tensor([[float(i), float(j)] for i in range(8) for j in range(3)])
    torch.testing.assert_close(wider(cells), module(places))
    assert "8x3 cells stand on 4x3 of the 4x3 cells" in found.lines[0]


def test_statistics_are_those_given_or_those_of_pretraining():
    old = (0.1, 0.2, 0.6)
    assert kept_statistics("x", "mean", None, old, num_channels=3) == (old, ())
    assert kept_statistics("x", "mean", old, old, num_channels=3) == (old, ())
    given, lines = kept_statistics("x", "mean", (0.5,), old, num_channels=1)
    assert given == (0.5,)
    assert "as given" in lines[0]
    averages, lines = kept_statistics("x", "mean", None, old, num_channels=2)
    assert averages == pytest.approx((0.3, 0.3))
    assert "average" in lines[0]


def resized_table(old: tuple[int, ...], new: tuple[int, ...], axes: tuple[TrainedAxis, ...]):
    table = random(int(np.prod(old)), 6)
    grids = (dict(zip("thw", old)), dict(zip("thw", new)))
    found = resample_positions("x", {"table": table}, axes=(None, axes), grids=grids)
    assert found.lines
    return table, found.state["table"]


@pytest.mark.parametrize("new", [(7, 5), (3, 3), (4, 9)])
def test_tables_of_cells_are_resized_as_timm_does(new: tuple[int, int]):
    from timm.layers.pos_embed import resample_abs_pos_embed

    old = (4, 6)
    axes = tuple(TrainedAxis(cells=float(o), step=o / n) for o, n in zip(old, new))
    table, found = resized_table(old, new, axes)
    expected = resample_abs_pos_embed(
        table[None], new_size=list(new), old_size=list(old), num_prefix_tokens=0
    )[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_shorter_clip_keeps_the_first_cells_of_its_table():
    axes = tuple(TrainedAxis(cells=float(cells), step=1.0) for cells in (4, 2, 3))
    table, found = resized_table((4, 2, 3), (2, 2, 3), axes)
    assert torch.equal(found, table[:12])
