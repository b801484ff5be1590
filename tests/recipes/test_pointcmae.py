"""What is particular to Point-CMAE: where two masks agree, and what the weights stand for."""

from pathlib import Path

import pytest
import torch

from modalities.points import chamfer_l2
from omnimask.objectives.objective import cosine
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes.pointcmae import base
from tests.recipes.catalogue import first_batch, load, shown_of


def test_tokens_hidden_by_both_masks_are_counted_in_both(sample_data: Path):
    recipe = fit(load("recipes.pointcmae:debug", sample_data))
    model = build_model(recipe).train()
    batch = first_batch(recipe)
    sums = model(batch).sums
    (view,) = model.views(batch)
    (plan,) = model.masks(view, 0.0)
    assert plan.copies == 2
    both = (~shown_of(plan, view.layout.valid.shape[1])).unflatten(0, (-1, 2)).all(dim=1)
    assert sums["points_agreement"].count == 2 * both.sum() > 0
    assert sums["points_groups"].count == sum(plan.num_predict)


def weight_of(name: str) -> float:
    return next(o.weight for o in base().objectives if o.name == name)


def test_the_weight_gives_the_gradient_of_a_symmetric_similarity():
    one, two = (torch.randn(3, 5, 8, requires_grad=True) for _ in range(2))
    symmetric = cosine(one, two).mean()
    expected = torch.autograd.grad(symmetric, [one, two])
    ours = torch.stack([cosine(one, two.detach()), cosine(two, one.detach())]).mean()
    gradients = torch.autograd.grad(weight_of("points_agreement") * ours, [one, two])
    assert torch.allclose(gradients[0], expected[0])
    assert torch.allclose(gradients[1], expected[1])


def test_the_weight_of_chamfer_is_1000_for_the_sum_of_both_masks():
    predicted, truth = torch.randn(2, 2, 5, 12), torch.randn(2, 2, 5, 12)
    masks = [chamfer_l2(p, t) for p, t in zip(predicted, truth, strict=True)]
    official = 1000.0 * (masks[0].mean() + masks[1].mean())
    ours = weight_of("points_groups") * torch.stack(masks).mean()
    assert ours.item() == pytest.approx(official.item(), rel=1e-5)
