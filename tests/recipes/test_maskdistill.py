"""What is particular to MaskDistill: the loss on a frozen teacher's layer-normalised output."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from omnimask.recipe.teacher import FrozenTeacher
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.maskdistill import MODALITIES, base, base_drop, cpu, cpu_drop, huge
from recipes.small import debug_size
from tests.recipes.catalogue import first_batch, load, step_loss
from tests.unit.masking_cases import keys, layout, part


@pytest.mark.parametrize(
    "reference", ["recipes.maskdistill:debug", "recipes.maskdistill:debug_drop"]
)
def test_the_loss_is_smooth_l1_on_normalised_features_of_hidden_tokens(
    reference: str, sample_data: Path
):
    recipe = fit(load(reference, sample_data))
    model, batch = build_model(recipe).eval(), first_batch(recipe)
    assert model.teacher is not None
    for name, weight in model.teacher.named_parameters():
        if name.endswith("encoder.norm.weight"):  # as in a trained teacher: channels differ
            weight.data.copy_(torch.linspace(0.5, 3.0, 128))
    (view,) = model.views(batch)
    assert view.teacher[0].std(dim=-1).min() > 1.2
    (masked,) = model.encode([view], [model.masks(view, 0.0)])
    features, _ = model.decode(masked)
    predicted = model.heads["image_features"](features["main"])
    ids = masked.plan.predict_ids[:, :, None].expand(-1, -1, 128)
    taught = view.teacher[0].gather(1, ids)
    taught = (taught - taught.mean(dim=-1, keepdim=True)) / (
        taught.var(dim=-1, keepdim=True, unbiased=False) + 1e-5
    ).sqrt()
    torch.testing.assert_close(step_loss(model, batch), F.smooth_l1_loss(predicted, taught))


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_modality_steps(modality: str, sample_data: Path):
    for size in (cpu, cpu_drop):
        recipe = debug_size(replace(size(modality), teacher=FrozenTeacher()))
        recipe = fit(replace(recipe, data=replace(recipe.data, root=str(sample_data))))
        model = build_model(recipe).train()
        loss = step_loss(model, first_batch(recipe))
        loss.backward()
        assert loss.isfinite()
        assert loss > 0.05, "a random teacher's features are not known from the start"


def test_forty_percent_of_the_patches_are_hidden():
    for recipe, side in ((base(), 14), (huge(), 16)):
        num_tokens = side * side
        images = layout(image=part({"h": side, "w": side}, (num_tokens,)))
        (plan,) = recipe.masker(images, keys(1))
        assert plan.num_predict[0] == pytest.approx(0.4 * num_tokens, abs=0.5)


def test_published_numbers():
    for recipe in (base(), base_drop(), huge()):
        assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == 2048
        assert recipe.optim.steps == 300 * (1_281_167 // 2048)
    assert base_drop().hidden == "drop"
