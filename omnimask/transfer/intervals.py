"""R² and 95 % intervals of scores over held-out samples, by scikit-learn and scipy."""

from collections.abc import Callable
from math import sqrt

import numpy as np
from jaxtyping import Float, Int64

CONFIDENCE = 0.95
_AT_ONCE = 10_000_000  # sample numbers held in memory, of as many resamples as that makes


def wilson_interval(num_right: int, count: int) -> tuple[float, float]:
    """Wilson's interval of a binomial share, https://doi.org/10.1080/01621459.1927.10502953."""
    from scipy.stats import binomtest

    found = binomtest(num_right, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def normal_interval(shares: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """The normal interval of the mean of shares, two or more, cut off at 0 and 1."""
    from scipy.stats import norm

    mean, error = float(np.mean(shares)), float(np.std(shares, ddof=1)) / sqrt(len(shares))
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) * error
    return max(mean - half, 0.0), min(mean + half, 1.0)


def bootstrap_interval(
    measure: Callable[[Int64[np.ndarray, "r n"]], Float[np.ndarray, "*m r"]],
    num_samples: int,
    *,
    resamples: int,
) -> tuple[Float[np.ndarray, "*m"], Float[np.ndarray, "*m"]]:
    """The percentile bootstrap over samples, with the same resamples on every call.

    `measure` gets each resample's sample numbers in a row and returns one score of each, or of
    several measures stacked in front. A single sample has an interval of no width.
    """
    from scipy.stats import bootstrap

    if num_samples < 2:  # scipy refuses it
        only = np.asarray(measure(np.zeros((1, 1), dtype=np.int64)))[..., 0]
        return only, only
    found = bootstrap(
        (np.arange(num_samples),),
        lambda rows, axis: measure(rows),
        n_resamples=resamples,
        batch=max(1, _AT_ONCE // num_samples),
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return np.asarray(found.low), np.asarray(found.high)


def r2(
    truth: Float[np.ndarray, "*r n"], predicted: Float[np.ndarray, "*r n"]
) -> Float[np.ndarray, "*r"]:
    """R² along the last axis; 0 where all truths are equal, as there is nothing to explain.

    scikit-learn gives a perfect guess of equal truths 1, and one sample NaN with a warning.
    """
    from sklearn.metrics import r2_score

    rows = truth.shape[:-1]
    scores = np.zeros(rows)
    varied = np.ptp(truth, axis=-1) > 0
    if varied.any():
        truths, guesses = truth[varied], predicted[varied]
        scores[varied] = r2_score(truths.T, guesses.T, multioutput="raw_values")
    return scores


def r2_interval(
    truth: Float[np.ndarray, " n"], predicted: Float[np.ndarray, " n"], *, resamples: int = 500
) -> tuple[float, float]:
    """The percentile bootstrap's interval of R² over samples."""
    low, high = bootstrap_interval(
        lambda rows: r2(truth[rows], predicted[rows]), len(truth), resamples=resamples
    )
    return float(low), float(high)
