"""Every order is a bijection, any part of it is found alone, and orders come out evenly."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from omnimask.data.order import shuffled


@pytest.mark.parametrize("length", [1, 2, 3, 5, 24, 63, 64, 65, 1000, 4097])
def test_every_sample_has_one_place(length: int):
    for epoch in range(3):
        found = shuffled(np.arange(length), length, 0, "stream", epoch)
        assert sorted(found.tolist()) == list(range(length))


def test_a_part_is_found_without_the_rest():
    whole = shuffled(np.arange(1000), 1000, 7, "a", 2)
    some = np.array([999, 0, 512, 3])
    assert shuffled(some, 1000, 7, "a", 2).tolist() == whole[some].tolist()


def test_seed_stream_and_epoch_make_orders_of_their_own():
    labels = [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    orders = {tuple(shuffled(np.arange(50), 50, *some).tolist()) for some in labels}
    assert len(orders) == 4


@pytest.mark.parametrize("length", [2, 3, 4])
def test_orders_of_few_samples_are_equally_likely(length: int):
    draws = 60 * math.factorial(length)
    seen = Counter(
        tuple(shuffled(np.arange(length), length, seed).tolist()) for seed in range(draws)
    )
    counts = [seen[order] for order in permutations(range(length))]
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("length", [1000, 10_000_000])
def test_places_are_spread_evenly_and_neighbours_are_strangers(length: int):
    places = np.arange(20_000) % length
    found = np.concatenate(
        [shuffled(places[:10_000], length, seed) for seed in range(2 if length > 10**6 else 4)]
    )[:20_000]
    assert kstest((found + 0.5) / length, "uniform").pvalue > 1e-3
    steps = (np.diff(found[:10_000]) % length) / length
    assert kstest(steps, "uniform").pvalue > 1e-3


def test_the_order_of_a_great_many_has_no_repetition():
    found = shuffled(np.arange(2**33, 2**33 + 100_000), 10**10, "large")
    assert len(np.unique(found)) == 100_000
    assert 0 <= found.min() <= found.max() < 10**10


def test_an_order_stays_what_it_is():
    """It is part of what a seed means: a change here changes every run."""
    assert shuffled(np.arange(8), 8, 0, "images", 0).tolist() == [4, 5, 2, 6, 0, 1, 3, 7]
