import numpy as np
import pytest

from omnimask.transfer import intervals
from omnimask.transfer.intervals import (
    bootstrap_interval,
    normal_interval,
    r2,
    r2_interval,
    wilson_interval,
)


def r2_by_hand(truth: np.ndarray, predicted: np.ndarray) -> float:
    return 1 - np.square(predicted - truth).sum() / np.square(truth - truth.mean()).sum()


def guesses(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=count)
    return truth, truth + rng.normal(size=count)


def test_wilson_interval_of_known_numbers():
    # Reference: statsmodels proportion_confint(8, 10, method="wilson").
    assert wilson_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert wilson_interval(5, 5)[1] == 1.0
    assert wilson_interval(0, 5)[0] == 0.0


def test_r2_is_one_less_the_unexplained_share():
    truth, predicted = guesses(30)
    assert r2(truth, predicted) == pytest.approx(r2_by_hand(truth, predicted))
    both = r2(np.stack([truth, predicted]), np.stack([predicted, truth]))
    expected = r2_by_hand(truth, predicted), r2_by_hand(predicted, truth)
    assert both.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("guess", [2.0, 3.0])
@pytest.mark.parametrize("count", [1, 4])
def test_r2_of_equal_truths_is_zero_even_if_the_guess_is_perfect(guess: float, count: int):
    truth, predicted = np.full(count, 2.0), np.full(count, guess)
    assert r2(truth, predicted) == 0.0
    assert r2_interval(truth, predicted) == (0.0, 0.0)


@pytest.mark.parametrize("at_once", [10_000_000, 70])
def test_r2_interval_is_that_of_resampled_scores(at_once: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intervals, "_AT_ONCE", at_once)
    truth, predicted = guesses(31)
    draws = np.random.default_rng(0).integers(31, size=(500, 31))
    scores = [r2_by_hand(truth[rows], predicted[rows]) for rows in draws]
    expected = np.quantile(scores, [0.025, 0.975]).tolist()
    assert r2_interval(truth, predicted) == pytest.approx(expected)


def test_bootstrap_of_two_measures_at_once():
    values = np.arange(20.0)
    low, high = bootstrap_interval(
        lambda rows: np.stack([values[rows].mean(axis=1), -values[rows].mean(axis=1)]),
        20,
        resamples=200,
    )
    assert low[0] < values.mean() < high[0]
    assert (low[1], high[1]) == pytest.approx((-high[0], -low[0]))


def test_normal_interval_stays_between_0_and_1():
    shares = np.array([0.4, 0.5, 0.6])
    half = 1.959964 * 0.1 / np.sqrt(3)
    assert normal_interval(shares) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)
    assert normal_interval(np.array([1.0, 1.0])) == (1.0, 1.0)
    assert normal_interval(np.array([0.0, 0.1])) == (0.0, pytest.approx(0.148, abs=1e-3))
