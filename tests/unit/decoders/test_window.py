from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from omnimask.decoders import WindowDecoder
from omnimask.decoders.window import window_numbers
from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoder
from tests.unit.decoder_cases import (
    LINE,
    MAP,
    Case,
    GridToy,
    layout_of,
    make_case,
    predict_ids,
    run,
    view_with,
    visible_ids,
    visible_row,
)

SMALL = WindowDecoder(width=16, depth=3, num_heads=4, windows=(2, 3, None, None), shift=True)


def window_of(window: int | None, token: int, *, shifted: bool) -> tuple[int, ...]:
    """The window of a token of the group of map (12 tokens) and line (5), in plain arithmetic."""
    if window is None:
        return ()
    place = token if token < 12 else token - 12
    return (int(token < 12), (place - (window // 2 if shifted else 0)) // window)


def reference(module: torch.nn.Module, case: Case, row: int, windows: tuple) -> torch.Tensor:
    """The decoder on one row, attention as a loop over heads and windows."""
    sample, ids = row // 2, torch.cat([visible_ids(case, row), predict_ids(case, row)])
    places = torch.cat(
        [module.places.positions[s.modality](s.coords[sample]) for s in case.layout.spans]
    )
    kinds = torch.cat(
        [module.places.modalities[s.modality].expand(len(s), -1) for s in case.layout.spans]
    )
    asked = module.mask_token.expand(case.plan.num_predict[row], -1)
    x = torch.cat([module.project(visible_row(case, row)), asked]) + (places + kinds)[ids]
    for number, block in enumerate(module.blocks):
        qkv = block.attn.qkv(block.norm1(x)).view(len(x), 3, 4, 4)
        out = torch.zeros(len(x), 4, 4)
        for head, window in enumerate(windows):
            names = [window_of(window, int(i), shifted=number % 2 == 1) for i in ids]
            for name in set(names):
                inside = torch.tensor([other == name for other in names])
                q, k, v = qkv[inside, :, head].unbind(1)
                out[inside, head] = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        x = x + block.attn.proj(out.flatten(1))
        x = x + block.mlp(block.norm2(x))
    return module.norm(x)[case.plan.num_visible[row] :]


def test_each_head_attends_within_its_windows():
    case = make_case()
    module, rows = run(SMALL, case)
    for row, count in enumerate(case.plan.num_predict):
        expected = reference(module, case, row, SMALL.windows)
        torch.testing.assert_close(rows[row, :count], expected, atol=1e-5, rtol=1e-5)


def test_fewer_windows_than_heads_are_shared_out():
    case = make_case()
    decoder = replace(SMALL, windows=(3, None))
    module, rows = run(decoder, case)
    expected = reference(module, case, 0, (3, 3, None, None))
    torch.testing.assert_close(rows[0, : len(expected)], expected, atol=1e-5, rtol=1e-5)


def swin_windows(shape: tuple[int, int], size: int, shift: tuple[int, int]) -> torch.Tensor:
    """Which pairs of cells Swin lets see one another: roll, cut into windows, mask what wrapped."""
    cells = torch.arange(shape[0] * shape[1]).view(shape)
    wrapped = torch.zeros(shape, dtype=torch.long)
    for axis in (0, 1):
        along = torch.arange(shape[axis]) < shift[axis]
        wrapped += (1 + axis) * along.long().unsqueeze(1 - axis)
    rolled, wrapped = (t.roll((-shift[0], -shift[1]), (0, 1)) for t in (cells, wrapped))
    see = torch.zeros(cells.numel(), cells.numel(), dtype=torch.bool)
    for i in range(0, shape[0], size):
        for j in range(0, shape[1], size):
            inside = rolled[i : i + size, j : j + size].flatten()
            regions = wrapped[i : i + size, j : j + size].flatten()
            see[inside[:, None], inside] = regions[:, None] == regions
    return see


@pytest.mark.parametrize(
    ("shift", "moved"), [((True, False), (2, 0)), (True, (2, 2)), (False, (0, 0))]
)
def test_windows_on_two_axes_are_swins(shift: bool | tuple[bool, bool], moved: tuple[int, int]):
    spectrogram = GridToy(name="sound", num_tokens=96, shape=(12, 8))
    numbers = window_numbers(layout_of([(spectrogram, (96,))]), (4, 4), shift=shift)
    assert torch.equal(numbers[:, None] == numbers, swin_windows((12, 8), 4, moved))


def test_an_axis_no_longer_than_the_window_is_not_shifted():
    numbers = window_numbers(layout_of([(MAP, (12,))]), (2, 4), shift=True)
    rows = numbers.view(3, 4)
    assert (rows == rows[:, :1]).all()
    assert len(set(rows[:, 0].tolist())) == 2


@pytest.mark.parametrize("window", [2, 100, None])
def test_windows_join_modalities_only_where_there_is_none(window: int | None):
    numbers = window_numbers(layout_of([(MAP, (12,)), (LINE, (5,))]), window, shift=False)
    shared = set(numbers[:12].tolist()) & set(numbers[12:].tolist())
    assert bool(shared) == (window is None)


def test_a_change_outside_the_window_is_not_seen():
    line = replace(LINE, num_tokens=8, shape=(8,))
    decoder = replace(SMALL, windows=((4,),), shift=False)
    case = make_case()
    layout = layout_of([(line, (8,))])
    plan = replace(
        case.plan,
        visible_ids=torch.tensor([[0, 5]]),
        visible_ok=torch.ones(1, 2, dtype=torch.bool),
        predict_ids=torch.tensor([[1, 6]]),
        predict_ok=torch.ones(1, 2, dtype=torch.bool),
        num_visible=(2,),
        num_predict=(2,),
        copies=1,
    )
    module = decoder.build([line], Encoder(width=8, num_heads=2))
    encoded = replace(case.encoded, view=view_with(layout), plan=plan, visible=(torch.randn(2, 8),))
    changed = encoded.visible[0] + torch.tensor([[0.0], [1.0]]) * torch.randn(8)
    before = module(encoded)
    after = module(replace(encoded, visible=(changed,)))
    assert torch.equal(before[0, 0], after[0, 0])
    assert not torch.allclose(before[0, 1], after[0, 1])


def test_sizes_per_axis_need_such_a_grid():
    encoder = Encoder(width=8, num_heads=2)
    with pytest.raises(RecipeError, match="line has axes"):
        WindowDecoder().build([MAP, LINE], encoder)
    with pytest.raises(RecipeError, match="cells has no grid"):
        WindowDecoder().build([GridToy(name="cells")], encoder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"windows": ()}, "divides num_heads=16, got 0"),
        ({"windows": (2, 4, None), "shift": True}, "divides num_heads=16, got 3"),
        ({"windows": (0,), "shift": True}, "sizes must be >= 1"),
        ({"windows": (5,)}, r"one choice per axis, but windows has 5; write shift=True"),
        ({"windows": ((2, 4, 4),)}, "one choice per axis"),
    ],
)
def test_windows_that_cannot_work_are_refused(fields: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        WindowDecoder(**fields)
