"""Scores beside scikit-learn's own, and intervals that hold them."""

from typing import Any

import numpy as np
import pytest

from omnimask.transfer.finetuning.classification import Classification, MultiLabel
from omnimask.transfer.finetuning.regression import Regression
from omnimask.transfer.finetuning.scores import Predicted, main_value, score
from omnimask.transfer.finetuning.tasks import Task
from omnimask.transfer.intervals import bootstrap_interval

RNG = np.random.default_rng(3)


def predicted(values: np.ndarray, truth: np.ndarray) -> Predicted:
    return Predicted(names=("",) * len(values), values=values, truth=truth.astype(np.float64))


def test_scores_of_classes():
    from sklearn.metrics import balanced_accuracy_score

    truth = RNG.integers(3, size=60)
    values = np.eye(3)[truth] + RNG.normal(scale=0.8, size=(60, 3))
    task, part = Classification(classes=("a", "b", "c")), predicted(values, truth[:, None])
    scores = score(task, part)
    chosen = values.argmax(axis=1)
    assert scores["accuracy"].value == np.mean(truth == chosen)
    expected = balanced_accuracy_score(truth, chosen)
    assert scores["balanced_accuracy"].value == pytest.approx(expected)
    assert main_value(task, part) == scores["balanced_accuracy"].value
    for interval in scores.values():
        assert interval.low < interval.value < interval.high


def f1(truth: np.ndarray, chosen: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    undefined: Any = 0.0  # of a class that is nowhere
    return float(f1_score(truth, chosen, average="macro", zero_division=undefined))


CHOICE = RNG.integers(4, size=(9, 2))  # of five classes one is nowhere, in resamples others too
FLAGS = RNG.integers(2, size=(2, 9, 3)) * [1, 1, 0]


@pytest.mark.parametrize(
    ("task", "values", "truth", "measured"),
    [
        (
            Classification(classes=tuple("abcde")),
            np.eye(5)[CHOICE[:, 0]],
            CHOICE[:, 1:],
            (CHOICE[:, 1], CHOICE[:, 0]),
        ),
        (MultiLabel(classes=tuple("abc")), FLAGS[0] * 0.9, FLAGS[1], (FLAGS[1], FLAGS[0])),
    ],
    ids=["classes", "several"],
)
def test_macro_f1_and_its_interval_are_scikit_learns(
    task: Task, values: np.ndarray, truth: np.ndarray, measured: tuple[np.ndarray, np.ndarray]
):
    found = score(task, predicted(values, truth))["macro_f1"]
    truths, chosen = measured
    low, high = bootstrap_interval(
        lambda rows: np.array([f1(truths[row], chosen[row]) for row in rows]), 9, resamples=200
    )
    expected = (f1(truths, chosen), float(low), float(high))
    assert (found.value, found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_a_class_without_held_out_samples_raises_no_warning():
    truth = np.zeros((20, 1))
    values = RNG.normal(size=(20, 3))
    scores = score(Classification(classes=("a", "b", "c")), predicted(values, truth))
    assert scores["balanced_accuracy"].value == scores["accuracy"].value


def test_scores_of_several_classes():
    truth = RNG.integers(2, size=(50, 2))
    part = predicted(np.clip(truth, 0.2, 0.8), truth)
    scores = score(MultiLabel(classes=("a", "b")), part)
    assert {name: s.value for name, s in scores.items()} == {
        "mean_average_precision": 1.0,
        "macro_f1": 1.0,
        "exact_match": 1.0,
    }


def test_scores_of_numbers_leave_out_the_missing():
    from sklearn.metrics import mean_absolute_error, r2_score

    truth = RNG.normal(size=(40, 2))
    values = truth + RNG.normal(scale=0.3, size=(40, 2))
    truth[::4, 1] = np.nan
    task = Regression(names=("a", "b"), mean=(0.0, 0.0), deviation=(1.0, 1.0))
    scores = score(task, predicted(values, truth))
    known = ~np.isnan(truth[:, 1])
    assert scores["r2/a"].value == pytest.approx(r2_score(truth[:, 0], values[:, 0]))
    expected = mean_absolute_error(truth[known, 1], values[known, 1])
    assert scores["mae/b"].value == pytest.approx(expected)
    mean = (scores["r2/a"].value + scores["r2/b"].value) / 2
    assert scores["r2"].value == pytest.approx(mean)
