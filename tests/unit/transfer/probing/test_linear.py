import numpy as np
import pytest

from omnimask.foundation.errors import DataError
from omnimask.transfer.probing.knn import Features
from omnimask.transfer.probing.linear import FOLDS, PENALTIES, STRENGTHS, linear_accuracy, ridge_r2

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


def chosen_by_hand(train: Features) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = [
        cross_val_score(
            LogisticRegression(C=c, max_iter=400, tol=1e-3), train.values, train.labels, cv=folds
        ).mean()
        for c in STRENGTHS
    ]
    return STRENGTHS[int(np.argmax(scores))]


def test_training_samples_alone_choose_the_strength():
    large = clouds(60, distance=8.0)
    # Short features of a rare class: a strong regularisation sees the common one alone.
    rare = clouds(60, distance=8.0, classes=4)
    labels = tuple("rare" if label == "class 0" else "common" for label in rare.labels)
    small = Features(values=0.05 * rare.values, labels=labels)
    for train in (large, small):
        chosen = {linear_accuracy(train, test).strength for test in (large, small)}
        assert chosen == {chosen_by_hand(train)}
    assert chosen_by_hand(large) != chosen_by_hand(small), "the check itself can fail"


def test_training_samples_alone_choose_the_penalty():
    def numbers(noise: float) -> Features:
        values = RNG.normal(size=(40, 6)).astype(np.float32)
        labels = values @ np.arange(6) + noise * RNG.normal(size=40)
        return Features(values=values, labels=tuple(float(x) for x in labels))

    sharp, blurred = numbers(0.1), numbers(50.0)
    for train in (sharp, blurred):
        assert len({ridge_r2(train, test).strength for test in (sharp, blurred)}) == 1
    assert ridge_r2(sharp, sharp).strength < ridge_r2(blurred, blurred).strength
