"""The generator against plain Python integers, and its distributions against scipy."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnimask.foundation.rng import Rng, fold_key, numpy_generator, permutation

WORD = 1 << 64
GOLDEN = 0x9E3779B97F4A7C15


def finaliser(bits: int) -> int:
    """SplitMix64's output function on an unsigned 64-bit state."""
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % WORD
    return bits ^ (bits >> 31)


def split_mix(seed: int, count: int) -> list[int]:
    return [finaliser((seed + step * GOLDEN) % WORD) for step in range(1, count + 1)]


def signed(word: int) -> int:
    return word - WORD if word >= WORD // 2 else word


def rng_of(*keys: int) -> Rng:
    return Rng(keys=torch.tensor(keys))


@cache
def many() -> Rng:
    return Rng(keys=torch.tensor([fold_key("row", row) for row in range(20_000)]))


def test_the_reference_is_split_mix():
    # The first outputs of Vigna's splitmix64.c for seed 1234567.
    assert split_mix(1234567, 2) == [6457827717110365317, 3203168211198807973]


@given(key=st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=50, deadline=None)
def test_bits_are_split_mix(key: int):
    expected = [signed(word) for word in split_mix(key % WORD, 5)]
    assert rng_of(key).bits(5).tolist() == [expected]


@given(key=st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=50, deadline=None)
def test_uniform_numbers_are_the_highest_24_bits(key: int):
    expected = [(word >> 40) / 2**24 for word in split_mix(key % WORD, 5)]
    assert rng_of(key).uniform(5).tolist() == [expected]


def test_a_row_does_not_depend_on_its_batch_nor_on_how_many_it_draws():
    whole, alone = rng_of(3, -7, 11), rng_of(-7)
    for draw in (
        lambda rng: rng.bits(9),
        lambda rng: rng.normal(9),
        lambda rng: rng.gamma(9, shape=0.4),
        lambda rng: rng.dirichlet((1.0, 2.0)),
        lambda rng: rng.child("a").child(2).uniform(9),
    ):
        assert torch.equal(draw(whole)[1:2], draw(alone))
    assert torch.equal(alone.gamma(9, shape=2.0)[:, :4], alone.gamma(4, shape=2.0))
    assert torch.equal(alone.bits(9)[:, :4], alone.bits(4))
    assert torch.equal(whole.repeat(3).keys[3:6], alone.repeat(3).keys)


def test_children_are_independent_of_each_other_and_of_order():
    rng = rng_of(1, 2)
    streams = [rng, rng.child("a"), rng.child("b"), rng.child(0), rng.child(1)]
    streams += [rng.child("a").child("b"), rng.child("b").child("a")]
    assert len({int(key) for stream in streams for key in stream.keys}) == 2 * len(streams)
    first, second = many().child("a").uniform(1)[:, 0], many().child("b").uniform(1)[:, 0]
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 5 / math.sqrt(20_000)


def test_repeat_gives_every_copy_its_own_stream():
    assert len(set(rng_of(5, 6).repeat(8).keys.tolist())) == 16
    assert rng_of(5).repeat(1).keys.tolist() == [5]


def test_keys_are_signed_and_the_order_of_labels_counts():
    assert fold_key(1, 2) != fold_key(2, 1)
    assert fold_key("mask") != fold_key("mask", 0)
    assert all(-(2**63) <= fold_key(label) < 2**63 for label in range(50))
    # A change of the mixing changes every run.
    assert fold_key("seed", 0) == -456111804131325040
    assert len({fold_key(a, b) for a in range(50) for b in range(50)}) == 2500


def test_numpy_generators_and_permutations_are_functions_of_their_labels():
    first, again = numpy_generator(7, "crop"), numpy_generator(7, "crop")
    assert np.array_equal(first.normal(size=5), again.normal(size=5))
    assert numpy_generator(7, "crop").random() != numpy_generator(7, "flip").random()
    assert numpy_generator(7, "crop").random() != numpy_generator(8, "crop").random()
    order = permutation(100, 0, "image", 3)
    assert np.array_equal(order, permutation(100, 0, "image", 3))
    assert sorted(order.tolist()) == list(range(100))
    assert not np.array_equal(order, permutation(100, 0, "image", 4))


def test_uniform_numbers_pass_kolmogorov_smirnov():
    from scipy import stats

    assert stats.kstest(many().uniform(1)[:, 0].numpy(), "uniform").pvalue > 1e-4
    assert stats.kstest(many().uniform(4)[:5000].flatten().numpy(), "uniform").pvalue > 1e-4


def test_integers_are_even():
    from scipy import stats

    counts = many().integers(1, high=10)[:, 0].bincount(minlength=10)
    assert len(counts) == 10
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_normal_numbers_pass_kolmogorov_smirnov():
    from scipy import stats

    assert many().normal(1).dtype == torch.float32
    assert stats.kstest(many().normal(1)[:, 0].numpy(), "norm").pvalue > 1e-4


@pytest.mark.parametrize("shape", [0.1, 0.5, 1.0, 3.5])
def test_gamma_numbers_pass_kolmogorov_smirnov(shape: float):
    from scipy import stats

    drawn = many().gamma(1, shape=shape)[:, 0].numpy()
    assert drawn.dtype == np.float32
    assert stats.kstest(drawn, stats.gamma(shape).cdf).pvalue > 1e-4


def test_dirichlet_shares_have_the_right_moments_and_sum():
    from scipy import stats

    alphas = (4.0, 1.0, 1.0)
    shares = many().dirichlet(alphas)
    assert torch.allclose(shares.sum(dim=1), torch.ones(20_000))
    expected = stats.dirichlet(alphas)
    assert np.allclose(shares.mean(dim=0).numpy(), expected.mean(), atol=0.006)
    assert np.allclose(shares.var(dim=0).numpy(), expected.var(), atol=0.002)


def test_tiny_alphas_stay_finite():
    from scipy import stats

    shares = many().dirichlet((0.01, 0.01))
    assert (shares > 0).all()
    one_sided = stats.beta(0.01, 0.01).sf(0.99) * 2
    assert abs((shares.amax(dim=1) > 0.99).float().mean() - one_sided) < 0.01
    assert (many().dirichlet((1e-4, 1e-4)).amax(dim=1) > 0.99).float().mean() > 0.99


@pytest.mark.gpu
def test_the_gpu_draws_the_same_numbers():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    there = Rng(keys=many().keys.cuda())
    assert torch.equal(there.bits(3).cpu(), many().bits(3))
    assert torch.equal(there.uniform(3).cpu(), many().uniform(3))
    for drawn, expected in (
        (there.normal(3), many().normal(3)),
        (there.dirichlet((1.0, 0.3)), many().dirichlet((1.0, 0.3))),
    ):
        # fp64 rounded to fp32: a difference is possible and should never be met.
        assert (drawn.cpu() != expected).sum() == 0
