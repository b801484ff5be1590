"""The attentive probe on tokens made by hand, and few-shot prototypes."""

import numpy as np
import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.transfer.probing.attentive import Attentive, AttentiveHead, attend
from omnimask.transfer.probing.few_shot import few_shot_accuracy
from omnimask.transfer.probing.knn import Features

CPU = torch.device("cpu")


def marked(count: int, *, seed: int) -> tuple[list[np.ndarray], list[int]]:
    """Noise, and among it one token whose last feature marks it and whose first names the class."""
    rng = np.random.default_rng(seed)
    samples, classes = [], []
    for index in range(count):
        tokens = rng.normal(size=(int(rng.integers(6, 13)), 8))
        tokens[:, 7] = 0.0
        place = rng.integers(len(tokens))
        tokens[place, 7], tokens[place, 0] = 4.0, 3.0 if index % 2 else -3.0
        samples.append(tokens.astype(np.float16))
        classes.append(index % 2)
    return samples, classes


def test_one_token_among_many_is_found():
    (train, truths), (test, asked) = marked(160, seed=0), marked(80, seed=1)
    settings = Attentive(epochs=30, lr=1e-2)
    found = attend(train, test, truths, settings, seed=0, device=CPU)
    assert np.mean(found == np.asarray(asked)) > 0.8
    again = attend(train, test, truths, settings, seed=0, device=CPU)
    assert found.tolist() == again.tolist()


def test_numbers_come_back_in_their_own_units():
    (train, truths), (test, asked) = marked(160, seed=0), marked(80, seed=1)
    numbers = [1000.0 + 50.0 * x for x in truths]
    found = attend(train, test, numbers, Attentive(epochs=15, lr=1e-2), seed=0, device=CPU)
    assert np.abs(found - (1000.0 + 50.0 * np.asarray(asked))).mean() < 15.0


def test_padding_is_never_attended_to():
    head = AttentiveHead(8, 3, num_heads=4)
    tokens = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([tokens, torch.full((1, 4, 8), 9.0)], dim=1)
    valid = torch.arange(9)[None] < 5
    torch.testing.assert_close(head(padded, valid), head(tokens, valid[:, :5]))


def test_a_sample_without_tokens_has_a_finite_answer():
    samples, truths = marked(8, seed=0)
    empty = np.zeros((0, 8), dtype=np.float16)
    found = attend(
        [*samples, empty], [empty], [*truths, 1], Attentive(epochs=1), seed=0, device=CPU
    )
    assert found.tolist() in ([0], [1])


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": 0.0}])
def test_settings_are_checked(wrong: dict):
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        Attentive(**wrong)


def clouds(count: int, *, distance: float, seed: int) -> Features:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 5)).astype(np.float32)
    labels = [i % 3 for i in range(count)]
    values[np.arange(count), labels] += distance
    return Features(values=values, labels=tuple("abc"[i] for i in labels))


def test_few_shot_tells_clouds_apart_and_more_shots_help():
    train, test = clouds(60, distance=3.0, seed=0), clouds(60, distance=3.0, seed=1)
    one, many = (few_shot_accuracy(train, test, k=k, episodes=40, seed=0) for k in (1, 10))
    assert 0.4 < one[0] < many[0]
    assert many[0] > 0.85
    assert one[1] < one[0] < one[2]
    noise = clouds(60, distance=0.0, seed=0), clouds(60, distance=0.0, seed=1)
    assert few_shot_accuracy(*noise, k=5, episodes=40, seed=0)[0] == pytest.approx(1 / 3, abs=0.1)


def test_the_interval_is_that_of_the_mean_over_episodes():
    train, test = clouds(60, distance=1.0, seed=0), clouds(60, distance=1.0, seed=1)
    drawn = [few_shot_accuracy(train, test, k=2, episodes=8, seed=seed) for seed in range(60)]
    means, lows, highs = np.array(drawn).T
    assert np.mean(highs - lows) / 2 == pytest.approx(1.96 * np.std(means), rel=0.3)


def test_with_all_samples_every_episode_is_the_nearest_class_mean():
    from sklearn.neighbors import NearestCentroid

    train, test = clouds(30, distance=1.0, seed=0), clouds(60, distance=1.0, seed=1)
    mean, low, high = few_shot_accuracy(train, test, k=10, episodes=3, seed=0)

    def unit(values: np.ndarray) -> np.ndarray:
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    reference = NearestCentroid().fit(unit(train.values), np.asarray(train.labels))
    reference.centroids_ = unit(reference.centroids_)
    expected = reference.score(unit(test.values), np.asarray(test.labels))
    assert mean == low == high == pytest.approx(expected)
