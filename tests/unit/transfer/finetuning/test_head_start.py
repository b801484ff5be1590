"""The head that begins as a linear probe."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omnimask.commands.finetune import finetune
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.transfer.finetuning.head_start import start_head
from omnimask.transfer.finetuning.heads import Head, Whitening
from omnimask.transfer.finetuning.labels import fit_task, open_readers
from omnimask.transfer.finetuning.model import FinetunedModel, build_finetuned
from omnimask.transfer.finetuning.recipe import Freeze, Labels
from omnimask.transfer.finetuning.regression import Regression
from omnimask.transfer.finetuning.results import read_results
from tests.unit.finetuning_cases import toy_finetune, write_targets
from tests.unit.toy import ToyFiles


def started(root: str = ".", **changes: Any) -> tuple[FinetunedModel, Head, float, Any]:
    """A model whose head has begun, the head, its C and the training samples."""
    recipe = fit_task(toy_finetune(root, head_norm="probe", **changes))
    model = build_finetuned(recipe)
    readers = [part.train for part in open_readers(recipe)]
    line = start_head(model, readers)
    assert isinstance(model.head, Head)
    group = readers[0].held_out_group(range(len(readers[0])))
    return model.eval(), model.head, float(line.rsplit("C=", 1)[1]), group


@torch.no_grad()
def white(model: FinetunedModel, head: Head, group: Any) -> np.ndarray:
    return head.norm(model.features(group)).numpy()


def test_it_is_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    model, head, strength, group = started()
    values, truth = white(model, head, group), model.truth(group)[:, 0].numpy()
    known = LogisticRegression(C=strength, max_iter=2000, tol=1e-8).fit(values, truth)
    expected = torch.from_numpy(known.predict_proba(values)).float()
    torch.testing.assert_close(model.predict(group), expected, atol=2e-3, rtol=0.0)


def test_it_is_ridge_regression_of_numbers(tmp_path: Path):
    from sklearn.linear_model import Ridge

    labels = Labels(table=write_targets(tmp_path, {"y": ["1", "2", "3", "5", "8"]}), columns=("y",))
    model, head, strength, group = started(str(tmp_path), task=Regression(), labels=labels)
    values, truth = white(model, head, group), model.truth(group)[:, 0].numpy()
    # Half the squared weights against the strength times the squared errors, in deviations.
    known = Ridge(alpha=1 / (2 * strength)).fit(values, truth)
    np.testing.assert_allclose(model.predict(group)[:, 0], known.predict(values), atol=5e-3)


def test_features_are_white_but_for_the_smallest_directions():
    torch.manual_seed(0)
    narrow = torch.randn(400, 4) * torch.tensor([3.0, 1.0, 0.5, 2.0])
    mixed = narrow @ torch.randn(4, 4) + 7.0
    features = torch.cat([mixed, torch.ones(400, 1)], dim=1)  # and one that says nothing
    whitening = Whitening(5)
    torch.testing.assert_close(whitening(features), features)
    whitening.fit(features, floor=1e-6)
    turned = whitening(features)
    torch.testing.assert_close(turned.mean(dim=0), torch.zeros(5), atol=1e-3, rtol=0.0)
    expected = torch.diag(torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]))
    torch.testing.assert_close(turned.T @ turned / 400, expected, atol=1e-2, rtol=0.0)


def test_whitening_keeps_small_directions_in_bf16():
    torch.manual_seed(0)
    features = 5.0 + torch.randn(400, 3) * torch.tensor([1.0, 1.0, 1e-2]) @ torch.randn(3, 3)
    whitening = Whitening(3)
    whitening.fit(features, floor=0.0)
    expected = whitening(features)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(whitening(features), expected)


def test_the_average_begins_there_too():
    model, head, _, _ = started(ema_decay=0.9)
    assert model.average is not None
    for name, value in model.average["head"].state_dict().items():
        assert torch.equal(value, head.state_dict()[name]), name


def test_a_frozen_encoder_keeps_what_the_probe_knows(tmp_path: Path):
    """Eight small steps leave a head that began at random behind."""
    plain = toy_finetune(frozen=Freeze(encoder=True))
    many = replace(plain.data.streams[0], files={"toy": ToyFiles(num_samples=96)})
    plain = replace(plain, data=replace(plain.data, streams=(many,)))
    probed = finetune(replace(plain, head_norm="probe"), tmp_path / "probed")
    random = finetune(plain, tmp_path / "random")
    accuracies = [
        read_results(run)["streams"]["toy"]["scores"]["accuracy"]["value"]
        for run in (probed, random)
    ]
    assert accuracies[0] > 0.9
    assert accuracies[0] > accuracies[1]


def test_it_needs_pooled_features():
    with pytest.raises(RecipeError, match="pooling=mean"):
        toy_finetune(head_norm="probe", pooling="attentive")


@pytest.mark.parametrize("bad", [(3,), tuple(range(24))])
def test_bad_files_are_named_and_left_out(bad: tuple[int, ...]):
    recipe = fit_task(toy_finetune(head_norm="probe"))
    stream = replace(recipe.data.streams[0], files={"toy": ToyFiles(bad=bad)})
    (part,) = open_readers(replace(recipe, data=replace(recipe.data, streams=(stream,))))
    model = build_finetuned(recipe)
    if len(bad) == 24:
        with pytest.raises(DataError, match="not one training sample"):
            start_head(model, [part.train])
    else:
        line = start_head(model, [part.train])
        assert "23 training samples" in line
        assert "train-003.toy" in line
