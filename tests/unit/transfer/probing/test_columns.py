import numpy as np
import pytest

from omnimask.foundation.errors import DataError
from omnimask.transfer.probing.columns import probe_columns
from omnimask.transfer.probing.knn import Features
from omnimask.transfer.probing.linear import ridge_r2

RNG = np.random.default_rng(0)
KINDS = np.array(["a", "b", "c"])


def samples(count: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """Features that tell two of three labels, features of noise, and the labels."""
    kind, size = RNG.integers(3, size=count), RNG.normal(size=count)
    told = np.concatenate([np.eye(3)[kind], size[:, None], RNG.normal(size=(count, 4))], axis=1)
    labels = {
        "kind": KINDS[kind].tolist(),
        "size": size.tolist(),
        "untold": RNG.normal(size=count).tolist(),
    }
    return told.astype(np.float32), RNG.normal(size=(count, 8)).astype(np.float32), labels


TRAIN, TEST = samples(300), samples(200)


def scores(known: dict | None = None, asked: dict | None = None):
    spaces = [
        {"trained": [side[0]], "untrained": [side[1], side[1] ** 2], "raw": [side[1]]}
        for side in (TRAIN, TEST)
    ]
    return probe_columns("toys", *spaces, known or TRAIN[2], asked or TEST[2])


def test_what_the_features_tell_is_read_and_what_they_do_not_is_a_guess():
    found = scores()
    by_column = {score.column: score for score in found.scores}
    kind, size, untold = (by_column[c].values for c in ("kind", "size", "untold"))
    assert [by_column[c].measure for c in ("kind", "size")] == ["accuracy", "R²"]
    assert kind["trained"].value > 0.95
    assert size["trained"].value > 0.95
    assert untold["trained"].value < 0.1
    assert 0.2 < kind["raw"].value < 0.5
    assert abs(kind["raw"].value - by_column["kind"].chance) < 0.15
    for estimate in (*kind.values(), *size.values()):
        assert estimate.low <= estimate.value <= estimate.high


def test_skill_is_the_mean_over_columns_and_a_difference_has_an_interval():
    found = scores()
    for space in ("trained", "untrained", "raw"):
        expected = np.mean(
            [
                (score.values[space].value - score.chance) / (1 - score.chance)
                for score in found.scores
            ]
        )
        assert found.skill[space].value == pytest.approx(expected)
    ahead = found.ahead["untrained"]
    gap = found.skill["trained"].value - found.skill["untrained"].value
    assert ahead.value == pytest.approx(gap)
    assert ahead.above_zero
    assert 0.4 < ahead.low < ahead.high < 0.9
    # Of the same resamples: narrower than two intervals that know nothing of one another.
    wide = sum(found.skill[s].high - found.skill[s].low for s in ("trained", "untrained"))
    assert ahead.high - ahead.low < wide


def test_no_space_is_ahead_of_itself():
    spaces = [{"trained": [side[1]], "raw": [side[1]]} for side in (TRAIN, TEST)]
    found = probe_columns("toys", *spaces, TRAIN[2], TEST[2])
    assert found is not None
    assert found.ahead["raw"].value == 0.0
    assert not found.ahead["raw"].above_zero


def test_numbers_are_scored_as_the_ridge_probe_does():
    found = scores()
    (size,) = [score for score in found.scores if score.column == "size"]
    sides = [Features(values=s[0], labels=tuple(s[2]["size"])) for s in (TRAIN, TEST)]
    assert size.values["trained"].value == pytest.approx(ridge_r2(*sides).value, abs=0.02)


def test_samples_without_a_label_are_left_out():
    gaps = [None if i % 3 else label for i, label in enumerate(TEST[2]["size"])]
    found = scores(asked=TEST[2] | {"size": gaps})
    (size,) = [score for score in found.scores if score.column == "size"]
    assert size.values["trained"].value > 0.95


def test_a_column_of_names_and_numbers_has_a_score_for_each():
    mixed = [
        {"both": [k if i % 2 else s for i, (k, s) in enumerate(zip(x["kind"], x["size"]))]}
        for x in (TRAIN[2], TEST[2])
    ]
    found = scores(*mixed)
    assert [(s.column, s.measure) for s in found.scores] == [("both", "accuracy"), ("both", "R²")]
    assert all(score.values["trained"].value > 0.9 for score in found.scores)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["a"] * 300, "every training sample has the label 'a'"),
        ([0.5] + [None] * 299, "1 training"),
    ],
)
def test_a_column_that_cannot_be_probed_says_why(labels: list, reason: str):
    found = scores(known=TRAIN[2] | {"kind": labels})
    assert reason in found.left_out["kind"]
    assert [score.column for score in found.scores] == ["size", "untold"]
    assert scores(known={"kind": labels}, asked={"kind": TEST[2]["kind"]}) is None


def test_both_sides_need_the_same_columns():
    with pytest.raises(DataError, match=r"\['kind', 'size', 'untold'\], held-out ones \['kind'\]"):
        scores(asked={"kind": TEST[2]["kind"]})
