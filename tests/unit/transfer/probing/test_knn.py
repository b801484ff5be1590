"""Nearest-neighbour probes and the features they read."""

import numpy as np
import pytest
import torch

from omnimask.data.streams import open_held_out
from omnimask.foundation.errors import DataError
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from omnimask.transfer.probing.knn import (
    Features,
    knn_accuracy,
    knn_r2,
    majority_share,
    mean_features,
    standardise,
    whiten,
)
from tests.unit.toy_recipe import toy_recipe, with_teacher


def points(*rows: tuple[float, float], labels: tuple[str | float | None, ...]) -> Features:
    return Features(values=np.asarray(rows, dtype=np.float32), labels=labels)


TRAIN = points((1, 0), (0.9, 0.1), (0, 1), (0.1, 0.9), labels=("a", "a", "b", "b"))


def test_the_nearest_class_wins():
    test = points((5, 1), (1, 7), (3, 0), (2, 0), labels=("a", "b", "a", "b"))
    score = knn_accuracy(TRAIN, test, k=1)
    assert (score.value, score.num_train, score.num_test, score.k) == (0.75, 4, 4, 1)
    assert score.low < 0.75 < score.high


def test_k_is_lowered_to_the_number_of_training_samples():
    assert knn_accuracy(TRAIN, points((1, 0), labels=("a",)), k=50).k == 4


def test_classes_numbers_and_unlabelled_samples_are_kept_apart():
    mixed = points(*[(i, 1) for i in range(4)], labels=("a", 2.0, None, 3.0))
    assert mixed.with_classes().labels == ("a",)
    assert mixed.with_numbers().labels == (2.0, 3.0)
    assert mixed.with_numbers().values[:, 0].tolist() == [1, 3]
    with pytest.raises(DataError, match="4 training and 0 held-out"):
        knn_accuracy(TRAIN, points((1, 0), labels=(1.0,)))


def test_regression_on_informative_features_beats_the_mean():
    angles = np.linspace(0, 1.5, 40)
    values = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = tuple(float(a) for a in angles)
    known = Features(values=values[::2], labels=labels[::2])
    asked = Features(values=values[1::2], labels=labels[1::2])
    score = knn_r2(known, asked, k=2)
    assert 0.9 < score.low <= score.value <= score.high <= 1.0
    shuffled = Features(values=known.values, labels=tuple(np.roll(known.labels, 9)))
    assert knn_r2(shuffled, asked, k=2).value < 0.3


def test_chance_is_the_commonest_training_class():
    train = points((0, 0), (0, 0), (0, 0), labels=("a", "a", "b"))
    test = points((0, 0), (0, 0), (0, 0), (0, 0), labels=("b", "b", "b", "a"))
    assert majority_share(train, test) == 0.25


def test_standardising_uses_the_training_samples_only():
    train = points((0, 5), (2, 5), labels=("a", "b"))
    first, second = standardise(train, points((4, 9), labels=("a",)))
    assert first.values.tolist() == [[-1, 0], [1, 0]]
    assert second.values.tolist() == [[3, 0]]


def correlated(count: int, *, seed: int, num_features: int = 8) -> Features:
    """Every feature is mostly of three shared numbers; 1 % beside them tells two classes apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    shared = rng.normal(size=(count, 3)) @ np.random.default_rng(9).normal(size=(3, num_features))
    signs = np.resize([1.0, -1.0], num_features)
    values = shared + 0.01 * (2 * labels[:, None] - 1) * signs
    values += 0.003 * rng.normal(size=values.shape)
    return Features(values=values.astype(np.float32), labels=tuple("ab"[i] for i in labels))


@pytest.mark.parametrize("num_features", [8, 200])
def test_whitening_uncovers_what_one_shared_direction_hides(num_features: int):
    train, test = (correlated(n, seed=n, num_features=num_features) for n in (120, 80))
    blind = knn_accuracy(*standardise(train, test)).value
    found = knn_accuracy(*whiten(train, test)).value
    assert blind < 0.7
    assert found > 0.8


@pytest.mark.parametrize("num_features", [4, 100])
def test_whitened_features_are_those_of_scikit_learn(num_features: int):
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(num_features, num_features))
    parts = [
        Features(values=(rng.normal(size=(n, num_features)) @ mixing), labels=("a",) * n)
        for n in (60, 20)
    ]
    train, test = whiten(*parts)
    scaled = [part.values for part in standardise(*parts)]
    pca = PCA(min(num_features, 15), whiten=True, svd_solver="full").fit(scaled[0])
    factor = np.sqrt(60 / 59)  # scikit-learn divides by n - 1
    for found, part in zip((train, test), scaled, strict=True):
        expected = pca.transform(part) * factor
        np.testing.assert_allclose(np.abs(found.values), np.abs(expected), rtol=1e-3, atol=1e-3)


def test_whitening_constant_features_gives_zeros():
    same = points((1, 2), (1, 2), labels=("a", "b"))
    train, test = whiten(same, same)
    assert train.values.tolist() == test.values.tolist() == [[0.0], [0.0]]


def test_features_do_not_depend_on_the_batch_and_leave_out_padding():
    recipe = fit(toy_recipe())
    model = build_model(recipe).eval()
    reader = open_held_out(recipe)[0]
    batches = [[3], [4], [5]], [[3, 4, 5]]  # sample 4 has half of the tokens
    alone, together = (
        torch.cat([mean_features(model.backbone, view) for view in model.views(groups)])
        for groups in ([reader.held_out_group(ids) for ids in batch] for batch in batches)
    )
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


def test_a_feature_is_the_mean_over_the_encoders_tokens():
    model = build_model(fit(with_teacher())).eval()
    (view,) = model.views([open_held_out(model.recipe)[0].held_out_group([4, 0])])
    found = mean_features(model.backbone, view)
    valid = view.layout.valid[:, :, None]
    normed = model.backbone.encoder.norm(view.teacher[-1])  # the teacher starts as the student
    expected = torch.where(valid, normed, 0.0).sum(dim=1) / valid.sum(dim=1)
    torch.testing.assert_close(found, expected)
