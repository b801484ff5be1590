"""Retrieval between two feature spaces of the same scenes."""

import numpy as np
import pytest

from omnimask.foundation.errors import DataError
from omnimask.transfer.searching.across import (
    MOST_COMPONENTS,
    Seen,
    align,
    compressed,
    retrieve,
    retrieve_across,
)


def _senses(count: int, *, shared: int, own: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two senses that see `shared` hidden numbers of a scene, each mixed with noise of its own."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7)
    hidden = rng.normal(size=(count, shared))
    sides = []
    for dim in (12, 20):
        noise = rng.normal(size=(count, own))
        mixed = np.concatenate([hidden, noise], axis=1) @ mixing.normal(size=(shared + own, dim))
        sides.append(5.0 + mixed + 0.05 * rng.normal(size=mixed.shape))
    return sides[0], sides[1]


def test_scenes_find_each_other_by_what_both_senses_see():
    train, test = _senses(400, shared=6, own=4), _senses(100, shared=6, own=4, seed=1)
    there, back = retrieve(("a", "b"), {"space": [train]}, {"space": [test]})
    assert (there.query, there.answer, back.query, back.answer) == ("a", "b", "b", "a")
    assert (there.num_train, there.num_test) == (400, 100)
    for way in (there, back):
        assert way.recall["space"][1].value > 0.9
        assert way.recall["space"][10].value >= way.recall["space"][1].value
        assert way.chance == {1: 0.01, 10: 0.1}
        estimate = way.recall["space"][1]
        assert estimate.low <= estimate.value <= estimate.high


def test_without_anything_in_common_it_is_chance():
    train, test = _senses(400, shared=0, own=6), _senses(200, shared=0, own=6, seed=1)
    there, back = retrieve(("a", "b"), {"space": [train]}, {"space": [test]})
    for way in (there, back):
        assert way.recall["space"][10].low <= way.chance[10] <= way.recall["space"][10].high


def test_every_row_is_matched_with_its_own_not_with_one_place_beside():
    train, (left, right) = _senses(300, shared=6, own=2), _senses(80, shared=6, own=2, seed=1)
    moved = np.roll(right, 1, axis=0)
    there, _ = retrieve(("a", "b"), {"space": [train]}, {"space": [(left, moved)]})
    assert there.recall["space"][1].value < 0.1


def test_encoders_of_one_space_are_averaged():
    train, test = _senses(300, shared=6, own=2), _senses(80, shared=6, own=2, seed=1)
    lost = (test[0], np.roll(test[1], 1, axis=0))
    (one, _), (other, _), (both, _) = (
        retrieve(("a", "b"), {"space": [train] * len(tests)}, {"space": tests})
        for tests in ([test], [lost], [test, lost])
    )
    expected = (one.recall["space"][10].value + other.recall["space"][10].value) / 2
    assert both.recall["space"][10].value == pytest.approx(expected)


def test_units_and_features_that_never_change_do_not_matter():
    train, test = _senses(300, shared=4, own=2), _senses(60, shared=4, own=2, seed=1)
    left = np.concatenate([1000.0 * train[0], np.ones((300, 1))], axis=1)
    asked = np.concatenate([1000.0 * test[0], np.ones((60, 1))], axis=1)
    plain = align(*train).similarities(*test)
    scaled = align(left, train[1]).similarities(asked, test[1])
    np.testing.assert_allclose(scaled, plain, atol=1e-6)


def test_scenes_of_two_senses_are_joined_by_their_names_but_for_the_suffix():
    rng = np.random.default_rng(0)
    hidden, mixing = rng.normal(size=(80, 4)), rng.normal(size=(4, 5))
    rows = (np.arange(70), rng.permutation(80)[:75])
    image, audio, lone = (
        Seen(
            sense=sense,
            names=([f"a/{row}{suffix}" for row in part],) * 2,
            spaces={"space": [(hidden[part] @ mixing,) * 2]},
        )
        for sense, suffix, part in (
            ("image", ".jpg", rows[0]),
            ("audio", ".flac", rows[1]),
            ("table", "", rows[0][:19]),
        )
    )
    both = len(set(rows[0]) & set(rows[1]))
    there, back = retrieve_across([image, audio, lone])
    assert (there.query, there.answer, there.num_test) == ("image", "audio", both)
    for way in (there, back):
        assert way.recall["space"][1].value > 0.9


def test_many_values_are_reduced_to_those_that_vary_most():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(90, 3))
    values = np.repeat(hidden, 400, axis=1) + 0.01 * rng.normal(size=(90, 1200))
    train, test = compressed(values[:60], values[60:])
    assert train.shape == (60, 30)
    assert test.shape == (30, 30)
    # The three hidden numbers are a linear function of the last, largest three components.
    solved, *_ = np.linalg.lstsq(train[:, -3:], hidden[:60] - hidden[:60].mean(0), rcond=None)
    np.testing.assert_allclose(test[:, -3:] @ solved + hidden[:60].mean(0), hidden[60:], atol=0.05)
    many = rng.normal(size=(3 * MOST_COMPONENTS, MOST_COMPONENTS + 1))
    assert compressed(many, many)[0].shape == (3 * MOST_COMPONENTS, MOST_COMPONENTS)


def test_features_that_are_few_stay_as_they_are():
    train, test = np.ones((40, 8)), np.ones((4, 8))
    found = compressed(train, test)
    assert found[0] is train
    assert found[1] is test


def test_too_few_pairs_are_named():
    with pytest.raises(DataError, match=r"at least 20 rows.*got 5 and 5"):
        align(np.zeros((5, 2)), np.zeros((5, 3)))
