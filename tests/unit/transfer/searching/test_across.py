"""Retrieval between two feature spaces of the same scenes."""

import numpy as np
import pytest

from omnimask.foundation.errors import DataError
from omnimask.transfer.searching.across import align, retrieve


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


def test_too_few_pairs_are_named():
    with pytest.raises(DataError, match="at least 20 rows.*got 5 and 5"):
        align(np.zeros((5, 2)), np.zeros((5, 3)))
