"""What is particular to VQ-KD: nothing is hidden, every token is coded, features are compared."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from omnimask.recipe.teacher import FrozenTeacher
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.vqkd import MODALITIES, base, cpu
from tests.recipes.catalogue import first_batch, load
from tests.steps import encode


def test_the_loss_is_one_minus_the_cosine_with_the_teachers_output(sample_data: Path):
    recipe = fit(load("recipes.vqkd:debug", sample_data))
    model, batch = build_model(recipe).eval(), first_batch(recipe)
    (masked,) = encode(model, batch)
    assert masked.plan.num_visible == masked.plan.num_predict == (64,) * 4
    features, own = model.decode(masked)
    predicted = model.heads["image_features"](features["main"])
    # The teacher is the student's own random start, so that its output is the encoder's.
    taught = masked.visible[0].unflatten(0, (4, 64))
    cosines = (F.normalize(predicted, dim=-1) * F.normalize(taught, dim=-1)).sum(dim=-1)
    sums = model(batch).sums
    torch.testing.assert_close(sums["image_features"].total, (1 - cosines).sum())
    torch.testing.assert_close(sums["own/main"].total, own["main"])
    assert sums["image_features"].count == sums["own/main"].count == 256


def test_decoding_goes_through_the_codes(sample_data: Path):
    """With one code for everything, images can no longer be told apart."""
    recipe = fit(load("recipes.vqkd:debug", sample_data))
    model = build_model(recipe).eval()
    (masked,) = encode(model, first_batch(recipe))
    codes = model.decoders["main"].get_buffer("codebook.codes")
    codes.copy_(codes[:1].expand_as(codes).clone())
    features, _ = model.decode(masked)
    first = features["main"][:1].expand_as(features["main"])
    torch.testing.assert_close(features["main"], first)
    assert features["main"].std(dim=1).max() > 1e-3, "only the places differ"


def test_the_rate_is_that_of_a_batch_of_512():
    recipe = base()
    assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == 512
    assert recipe.optim.lr == pytest.approx(2e-4)
    assert recipe.optim.steps == 100 * (1_281_167 // 512)


def test_the_small_sizes_learn_from_the_runs_of_mae():
    for modality in MODALITIES:
        assert cpu(modality).teacher == FrozenTeacher(run=f"runs/mae-cpu-{modality}")
