"""Labels to numbers and losses, beside torch's own losses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from omnimask.foundation.errors import DataError, RecipeError
from omnimask.transfer.finetuning.classification import Classification, MultiLabel
from omnimask.transfer.finetuning.regression import Regression

NAMES = [("cat",), ("dog",), ("cat",), ("cat",), ("dog",), ("emu",), ("emu",)]


def test_classes_are_sorted_and_encoded():
    task = Classification().fit(NAMES, ("label",))
    assert task.classes == ("cat", "dog", "emu")
    assert task.encode(("dog",)) == (1.0,)
    assert task.encode((None,)) is None
    assert task.encode((3.5,)) is None


def test_the_weighted_loss_is_that_of_torch():
    task = Classification(weights="balanced", smoothing=0.0).fit(NAMES, ("label",))
    assert task.class_weights == pytest.approx((7 / 9, 7 / 6, 7 / 6))
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    targets = task.targets(labels.float()[:, None], None)
    total, count = task.loss(logits, targets), task.count(targets)
    expected = F.cross_entropy(logits, labels, weight=torch.tensor(task.class_weights))
    torch.testing.assert_close(total / count, expected)


def test_smoothing_is_that_of_torch():
    task = Classification(smoothing=0.2).fit(NAMES, ("label",))
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    targets = task.targets(labels.float()[:, None], None)
    total, count = task.loss(logits, targets), task.count(targets)
    expected = F.cross_entropy(logits, labels, label_smoothing=0.2)
    torch.testing.assert_close(total / count, expected)


def test_mixed_targets_share_the_mirrored_sample():
    task = Classification().fit(NAMES, ("label",))
    lam = torch.tensor([[0.7], [1.0]])
    targets = task.targets(torch.tensor([[0.0], [2.0]]), lam)
    torch.testing.assert_close(targets, torch.tensor([[0.7, 0.0, 0.3], [0.0, 0.0, 1.0]]))


def test_a_class_with_one_sample_is_an_error():
    with pytest.raises(DataError, match=r"\{'fox': 1\}.*at least 2.*task.min_samples=1"):
        Classification().fit([*NAMES, ("fox",)], ("label",))
    assert "fox" in Classification(min_samples=1).fit([*NAMES, ("fox",)], ("label",)).classes


def test_one_class_alone_is_an_error():
    with pytest.raises(DataError, match="at least two classes"):
        Classification().fit([("cat",), ("cat",)], ("label",))


def test_an_unseen_class_is_an_error():
    task = Classification().fit(NAMES, ("label",))
    with pytest.raises(DataError, match="'cow' is not among those of the training samples"):
        task.encode(("cow",))


def test_smoothing_out_of_range():
    with pytest.raises(RecipeError, match=r"smoothing must be in \[0, 1\)"):
        Classification(smoothing=1.0)


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        ([("red;round",), ("round",), ("red",), ("",)], ("label",)),
        ([("1", "1"), ("0", "1"), ("1", "0"), ("0", "0")], ("red", "round")),
    ],
)
def test_several_classes_from_one_column_or_one_each(labels, columns):
    task = MultiLabel().fit(labels, columns)
    assert task.classes == ("red", "round")
    assert [task.encode(label) for label in labels] == [(1, 1), (0, 1), (1, 0), (0, 0)]
    logits, truth = torch.randn(4, 2), torch.tensor([[1.0, 1], [0, 1], [1, 0], [0, 0]])
    targets = task.targets(truth, None)
    total, count = task.loss(logits, targets), task.count(targets)
    expected = F.binary_cross_entropy_with_logits(logits, truth)
    torch.testing.assert_close(total / count, expected)


def test_regression_standardises_and_leaves_out_the_missing():
    labels = [(1.0, 10.0), (3.0, None), (None, None), (5.0, 30.0)]
    task = Regression().fit(labels, ("a", "b"))
    assert task.mean == pytest.approx((3.0, 20.0))
    assert task.encode((None, None)) is None
    vectors = [v for v in map(task.encode, labels) if v is not None]
    targets = task.targets(torch.tensor(vectors), None)
    outputs = torch.zeros(3, 2)
    total, count = task.loss(outputs, targets), task.count(targets)
    assert count == 5
    known = ~np.isnan(np.asarray(vectors))
    scaled = (np.asarray(vectors) - task.mean) / np.asarray(task.deviation)
    assert float(total) == pytest.approx(float(np.square(scaled[known]).sum()), rel=1e-5)
    torch.testing.assert_close(task.read(targets)[0], torch.tensor([1.0, 10.0]))
