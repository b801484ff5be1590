"""What is particular to VideoMAE: tubes, the target per channel, rates scaled by the batch."""

from collections.abc import Callable

import pytest
import torch

from modalities.video import VideoFiles
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from recipes.videomae import base, base_ssv2, huge, large, parts, small
from tests.recipes.catalogue import shown_of
from tests.unit.masking_cases import keys, layout, part

CLIPS = layout(video=part({"t": 8, "h": 14, "w": 14}, (1568,) * 2))


def test_the_same_20_of_196_places_are_shown_in_every_slice():
    (plan,) = base().masker(CLIPS, keys(2))
    shown = shown_of(plan, 1568).unflatten(1, (8, 196))
    assert shown.sum(dim=2).unique().tolist() == [20]
    assert torch.equal(shown, shown[:, :1].expand_as(shown))


@pytest.mark.parametrize(
    ("make", "batch", "rate"),
    [(small, 1024, 6e-4), (base, 2048, 1.2e-3), (large, 512, 3e-4), (huge, 1024, 6e-4)],
)
def test_batch_and_rate_are_those_of_the_official_scripts(
    make: Callable[[], Recipe], batch: int, rate: float
):
    recipe = make()
    assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == batch
    assert recipe.optim.lr == pytest.approx(rate)
    assert recipe.optim.final_lr == pytest.approx(rate / 15)
    assert recipe.optim.warmup_steps * 40 == pytest.approx(recipe.optim.steps)


def test_something_something_takes_every_second_frame():
    files = base_ssv2().data.streams[0].files["video"]
    assert isinstance(files, VideoFiles)
    assert (files.frame_stride, files.flip) == (2, 0.0)


@pytest.mark.parametrize(("modality", "num_channels"), [("video", 3), ("audio", 1)])
def test_the_target_is_normalised_per_channel(modality: str, num_channels: int):
    (objective,) = parts(modality).objectives
    assert objective.target == Content(norm="channel", num_channels=num_channels)
