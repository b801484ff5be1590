import numpy as np
import pytest

from omnimask.foundation.errors import DataError
from omnimask.transfer.probing.knn import Features
from omnimask.transfer.probing.linear import PENALTIES, STRENGTHS, linear_accuracy, ridge_r2

RNG = np.random.default_rng(0)


def clouds(count: int, *, distance: float, classes: int = 3) -> Features:
    """Normal clouds whose centres lie `distance` apart on different axes."""
    labels = [i % classes for i in range(count)]
    values = RNG.normal(size=(count, 6)).astype(np.float32)
    for row, label in enumerate(labels):
        values[row, label] += distance
    return Features(values=values, labels=tuple(f"class {label}" for label in labels))


def test_separate_clouds_are_told_apart():
    score = linear_accuracy(clouds(90, distance=8.0), clouds(60, distance=8.0))
    assert score.value > 0.97
    assert score.low < score.value <= score.high
    assert score.strength in STRENGTHS


def test_noise_is_worth_a_guess():
    score = linear_accuracy(clouds(90, distance=0.0), clouds(90, distance=0.0))
    assert 0.15 < score.value < 0.52


def test_a_class_with_one_sample_does_not_stop_the_choice():
    train = clouds(60, distance=8.0)
    train = Features(values=train.values, labels=("lonely", *train.labels[1:]))
    assert linear_accuracy(train, clouds(60, distance=8.0)).value > 0.9


@pytest.mark.parametrize("labels", [(None,) * 6, ("one",) * 6])
def test_labels_are_needed(labels: tuple):
    features = Features(values=RNG.normal(size=(6, 6)).astype(np.float32), labels=labels)
    with pytest.raises(DataError, match="two classes or more"):
        linear_accuracy(features, clouds(6, distance=1.0))


def test_ridge_finds_a_line_and_no_line_in_noise():
    def numbers(count: int, *, noise: float) -> Features:
        values = RNG.normal(size=(count, 6)).astype(np.float32)
        labels = values @ np.arange(6) + noise * RNG.normal(size=count)
        return Features(values=values, labels=tuple(float(x) for x in labels))

    found = ridge_r2(numbers(60, noise=0.5), numbers(60, noise=0.5))
    assert 0.95 < found.low <= found.value <= found.high
    assert found.strength in PENALTIES
    blind = ridge_r2(numbers(60, noise=200.0), numbers(60, noise=200.0))
    assert blind.value < 0.2
    assert blind.strength > found.strength


def test_ridge_needs_numbers():
    with pytest.raises(DataError, match="numbers as labels of 3 training samples"):
        ridge_r2(clouds(6, distance=1.0), clouds(6, distance=1.0))
