"""Recordings at another rate, and of another length, with gaps that stay gaps."""

import math

import numpy as np
from jaxtyping import Float

_HOLE = 1.75  # usual steps; two times further apart than this have a gap between them


def at_rate(
    values: Float[np.ndarray, "t k"], times_s: Float[np.ndarray, " t"], rate_hz: float
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """Regular steps from the first time on, and their times; linear between two known ones.

    Where the rate becomes lower, each step is the mean of those around it before. NaN where a
    neighbour is NaN, and within holes of the times. Times that are regular at that rate already
    give the values as they are.
    """
    usual_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0 / rate_hz
    count = math.floor((times_s[-1] - times_s[0]) * rate_hz + 1e-6) + 1
    wanted_s = times_s[0] + np.arange(count) / rate_hz
    if count == len(times_s) and np.abs(wanted_s - times_s).max() < 0.01 / rate_hz:
        return values, wanted_s
    values = _smoothed(values, 1.0 / (rate_hz * usual_s))
    right = np.searchsorted(times_s, wanted_s).clip(1, max(len(times_s) - 1, 1))
    right = right.clip(max=len(times_s) - 1)
    left = (right - 1).clip(0)
    gap_s = np.maximum(times_s[right] - times_s[left], 1e-12)
    share = ((wanted_s - times_s[left]) / gap_s).clip(0, 1)[:, None]
    mixed = _between(values[left], values[right], share)
    hole = (gap_s > _HOLE * usual_s)[:, None] & (share > 1e-6) & (share < 1 - 1e-6)
    return np.where(hole, np.nan, mixed), wanted_s


def of_length(values: Float[np.ndarray, "t k"], length: int) -> Float[np.ndarray, "n k"]:
    """Stretched or squeezed to so many steps, from the first to the last."""
    if len(values) == length:
        return values
    values = _smoothed(values, len(values) / length)
    places = np.linspace(0, len(values) - 1, length)
    left = np.floor(places).astype(int)
    right = np.minimum(left + 1, len(values) - 1)
    return _between(values[left], values[right], (places - left)[:, None])


def _between(left: np.ndarray, right: np.ndarray, share: np.ndarray) -> np.ndarray:
    """One of the two as it is where the place is its own: a gap beside it does not count."""
    mixed = left * (1 - share) + right * share
    return np.where(share < 1e-6, left, np.where(share > 1 - 1e-6, right, mixed))


def _smoothed(values: Float[np.ndarray, "t k"], ratio: float) -> Float[np.ndarray, "t k"]:
    """Means over `ratio` steps, NaN where any of them is; as they are where that is one step."""
    width = round(ratio)
    if width < 2 or len(values) < 2:
        return values
    from scipy.ndimage import uniform_filter1d

    gaps = np.isnan(values)
    means = uniform_filter1d(np.where(gaps, 0.0, values), width, axis=0, mode="nearest")
    near = uniform_filter1d(gaps.astype(np.float64), width, axis=0, mode="nearest")
    return np.where(near > 1e-9, np.nan, means)
