"""What is particular to MAE-ST: masks over space and time, one frame of each tubelet."""

from pathlib import Path

import torch

from omnimask.objectives.objective import Outcome
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.maest import large
from tests.recipes.catalogue import first_batch, load, shown_of
from tests.unit.masking_cases import keys, layout, part

CLIPS = layout(video=part({"t": 8, "h": 14, "w": 14}, (1568,) * 3))


def test_a_tenth_is_shown_and_not_the_same_in_every_frame():
    (plan,) = large().masker(CLIPS, keys(3))
    shown = shown_of(plan, 1568).unflatten(1, (8, 196))
    assert plan.num_visible == (157,) * 3
    assert (shown.any(dim=1).sum(dim=1) > 80).all(), "a tube would show the same twenty places"


def test_the_first_frame_of_a_tubelet_is_predicted_normalised(few_files: Path):
    recipe = fit(load("recipes.maest:debug", few_files))
    model = build_model(recipe)
    (view,) = model.views(first_batch(recipe))
    truth = model.truths(view, Outcome())["video_pixels"]
    values = view.tokens["video"].values
    assert 2 * truth.shape[-1] == values.shape[-1]
    first = values[..., : truth.shape[-1]].float()
    mean, variance = first.mean(-1, keepdim=True), first.var(-1, keepdim=True)
    torch.testing.assert_close(truth, (first - mean) / (variance + 1e-6).sqrt())
    (objective,) = recipe.objectives
    restored = objective.target.restore(truth, view.tokens["video"])
    torch.testing.assert_close(restored, first.repeat(1, 1, 2), atol=1e-4, rtol=1e-4)


def test_the_published_schedule():
    optim = large().optim
    assert (optim.lr, optim.clip_norm, optim.betas) == (1.6e-3 * 2, 0.02, (0.9, 0.95))
    assert large().data.streams[0].batch_size * optim.accumulate == 512
