"""Scores of places beside scikit-learn's, and by hand."""

import numpy as np
import pytest
import torch

from omnimask.transfer.finetuning.place_scores import (
    categories,
    class_ious,
    confusion,
    mean_iou,
    mean_over_categories,
    part_means,
    pixel_accuracy,
    within_category,
)

NAMES = ("chair/leg", "chair/seat", "mug/cup")


def test_scores_are_scikit_learns():
    from sklearn.metrics import confusion_matrix, jaccard_score

    truth = torch.tensor([[0, 0, 1, 2, 2, 2, -1, 1]])
    guess = torch.tensor([[0, 1, 1, 2, 0, 2, 3, 1]])
    (counts,) = confusion(truth, guess, num_classes=5).numpy()
    known = truth >= 0
    expected = confusion_matrix(truth[known], guess[known], labels=range(5))
    assert counts.tolist() == expected.tolist()
    ious = [jaccard_score(truth[known] == label, guess[known] == label) for label in (0, 1, 2)]
    np.testing.assert_allclose(class_ious(counts), [*ious, np.nan, np.nan])
    assert mean_iou(counts) == pytest.approx(np.mean(ious))
    assert pixel_accuracy(counts) == pytest.approx(5 / 7)


def test_samples_are_counted_apart():
    truth, guess = torch.tensor([[0, 1], [1, 1]]), torch.tensor([[0, 0], [1, -1]]).clamp_min(0)
    counts = confusion(truth, guess, num_classes=2)
    assert counts.tolist() == [[[1, 0], [1, 0]], [[0, 0], [1, 1]]]


def test_nothing_known_is_zero_and_no_warning():
    nothing = np.zeros((2, 3, 3), dtype=np.int64)
    assert mean_iou(nothing).tolist() == pixel_accuracy(nothing).tolist() == [0.0, 0.0]


def test_parts_are_compared_within_the_samples_category():
    assert categories(NAMES) == {"chair": [0, 1], "mug": [2]}
    values = torch.tensor([[[0.0, 1.0, 9.0], [2.0, 1.0, 9.0], [5.0, 1.0, 0.0]]])
    found = within_category(values, torch.tensor([[1, -1, 2]]), NAMES)
    assert found[0, 0] == 1
    assert found[0, 2] == 2


def test_a_part_that_is_nowhere_counts_as_right():
    names = ("a/x", "a/y", "a/z")
    truth, guess = torch.tensor([[0, 0, 1, -1]]), torch.tensor([[0, 1, 1, 2]])
    found, means = part_means(confusion(truth, guess, num_classes=3).numpy(), names)
    assert found == ["a"]
    assert means[0] == pytest.approx((0.5 + 0.5 + 1.0) / 3)


def test_categories_weigh_alike_and_samples_without_known_places_are_left_out():
    truth = torch.tensor([[0, 0], [-1, -1], [2, 2], [1, 0]])
    guess = torch.tensor([[0, 1], [0, 0], [2, 2], [1, 0]])
    found, means = part_means(confusion(truth, guess, num_classes=3).numpy(), NAMES)
    assert found == ["chair", "mug", "chair"]
    assert means.tolist() == [0.25, 1.0, 1.0]
    assert mean_over_categories(np.asarray(found), means) == pytest.approx((0.625 + 1.0) / 2)
