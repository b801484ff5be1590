"""The supervised step: what it shows, averages and predicts."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from omnimask.masking import RandomMask
from omnimask.transfer.finetuning.classification import Classification
from omnimask.transfer.finetuning.heads import Head
from omnimask.transfer.finetuning.labels import fit_task, open_readers
from omnimask.transfer.finetuning.model import FinetunedModel, build_finetuned
from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Mix
from tests.unit.finetuning_cases import toy_finetune


def batch_of(recipe: FinetuneRecipe, count: int = 6):
    (part,) = open_readers(recipe)
    return part.train.held_out_group(range(count))


def built(**changes: Any) -> tuple[FinetunedModel, FinetuneRecipe]:
    recipe = fit_task(toy_finetune(**changes))
    return build_finetuned(recipe), recipe


@pytest.mark.parametrize("pooling", ["mean", "cls", "attentive"])
@pytest.mark.parametrize("head_norm", ["layer", "batch"])
def test_gradient_reaches_every_parameter(pooling: str, head_norm: str):
    model, recipe = built(pooling=pooling, head_norm=head_norm)
    part = model.train()([batch_of(recipe)]).sums["label"]
    assert part.count == 6
    part.total.backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # With [CLS] or a mean of the others, the rest of the prefix has no part in the output.
    assert silent in ([], ["backbone.encoder.prefix"])


def test_a_prediction_does_not_depend_on_the_batch():
    model, recipe = built()
    group = batch_of(recipe)
    (part,) = open_readers(recipe)
    alone = model.predict(part.train.held_out_group([4]))
    torch.testing.assert_close(model.predict(group)[4:5], alone, atol=1e-6, rtol=1e-5)


def test_probabilities_sum_to_one():
    model, recipe = built()
    torch.testing.assert_close(model.predict(batch_of(recipe)).sum(dim=1), torch.ones(6))


def test_counts_are_those_of_the_step():
    _, recipe = built(mix=Mix(mixup=1.0, cutmix=1.0))
    weighted = Classification(class_weights=(1.0, 2.0, 5.0))
    recipe = fit_task(replace(recipe, task=weighted))
    model = build_finetuned(recipe).train()
    group = batch_of(recipe)
    assert model.counts([group])["label"] == model([group]).sums["label"].count
    assert model.eval().counts([group])["label"] == 16.0


def test_hidden_tokens_do_not_reach_the_encoder_in_training_alone():
    model, recipe = built(show=RandomMask(ratio=0.5))
    group = batch_of(recipe)
    assert model.eval()([group]).num_tokens == 8 * 6 - 4  # one of the six waves is short
    assert model.train()([group]).num_tokens == 4 * 5 + 2


def test_the_average_follows_the_weights():
    model, _ = built(ema_decay=0.9)
    assert model.average is not None
    assert isinstance(model.head, Head)
    averaged = model.average.state_dict()  # the tensors themselves
    before = averaged["head.linear.weight"].clone()
    with torch.no_grad():
        model.head.linear.weight.add_(1.0)
    model.update_average(1000)
    torch.testing.assert_close(averaged["head.linear.weight"], before + 0.1)
    model.update_average(1)  # early on it follows faster: by 2 / 11
    after = before + 0.1 + 0.9 * (1 - 2 / 11)
    torch.testing.assert_close(averaged["head.linear.weight"], after)


def test_the_average_is_what_predicts():
    model, recipe = built(ema_decay=0.9)
    group = batch_of(recipe)
    before = model.predict(group)
    assert isinstance(model.head, Head)
    with torch.no_grad():
        model.head.linear.bias.add_(torch.tensor([5.0, 0.0, 0.0]))
    torch.testing.assert_close(model.predict(group), before)


def test_predicting_leaves_the_mode_as_it_was():
    model, recipe = built()
    model.train()
    model.predict(batch_of(recipe))
    assert model.training
