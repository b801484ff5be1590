"""What is particular to SimMIM: whole cells, and an encoder that is given no positions to add."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from omnimask.training.fitting import fit
from omnimask.training.optimisation import learning_rate
from omnimask.training.step import build_model
from recipes.simmim import base, cpu, parts
from tests.recipes.catalogue import first_batch, load, shown_of, step_loss
from tests.unit.masking_cases import keys, layout, part

ROWS = 4


def hidden_cells(masker, grid: dict[str, int]) -> torch.Tensor:
    """The hidden share of every cell of 2 x 2, (rows, cells)."""
    num_tokens = grid["h"] * grid["w"]
    (plan,) = masker(layout(image=part(grid, (num_tokens,) * ROWS)), keys(ROWS))
    hidden = ~shown_of(plan, num_tokens).reshape(ROWS, grid["h"] // 2, 2, grid["w"] // 2, 2)
    return hidden.float().mean(dim=(2, 4)).flatten(1)


def test_30_of_49_cells_are_hidden_whole():
    cells = hidden_cells(base().masker, {"h": 14, "w": 14})
    assert set(cells.unique().tolist()) == {0.0, 1.0}
    assert cells.sum(dim=1).tolist() == [30.0] * ROWS
    assert (cells[0] != cells[1]).any()


def test_small_cells_are_hidden_whole_but_for_one():
    cells = hidden_cells(parts("image").masker, {"h": 8, "w": 8})
    assert (((cells > 0) & (cells < 1)).sum(dim=1) <= 1).all()


def test_a_cell_of_a_video_spans_all_frames():
    grid = {"t": 4, "h": 6, "w": 6}
    (plan,) = parts("video").masker(layout(video=part(grid, (144,) * ROWS)), keys(ROWS))
    frames = shown_of(plan, 144).reshape(ROWS, 4, 36)
    differing = (frames != frames[:, :1]).any(dim=1).sum(dim=1)
    assert (differing <= 4).all(), "only in the one cell that is cut"


def test_the_rate_is_that_of_a_batch_of_2048():
    optim = base().optim
    assert base().data.streams[0].batch_size * optim.accumulate == 2048
    assert optim.lr == pytest.approx(4e-4)
    epoch = optim.steps // 800
    before, after = (learning_rate(optim, epoch * number) for number in (699, 701))
    assert (before, after) == pytest.approx((4e-4, 4e-5))


def test_the_published_parts_step(sample_data: Path):
    """Layer scale, drop path and a shared bias table, at a small width."""
    recipe = load("recipes.simmim:debug", sample_data)
    published = base().encoder
    encoder = replace(published, width=48, depth=2, num_heads=2)
    recipe = fit(replace(recipe, encoder=encoder))
    model = build_model(recipe).train()
    loss = step_loss(model, first_batch(recipe))
    loss.backward()
    assert loss.isfinite()
    assert model.backbone.get_parameter("mask_token").grad is not None
    assert model.backbone.get_parameter("encoder.relative").grad.abs().sum() > 0


def test_hidden_tokens_are_replaced_everywhere():
    for modality in ("image", "points", "table"):
        assert cpu(modality).hidden == "replace"
