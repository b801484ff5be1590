"""Accuracy with a handful of labelled samples per class, over many draws of them."""

import numpy as np

from omnimask.foundation.rng import permutation
from omnimask.transfer.intervals import normal_interval
from omnimask.transfer.probing.knn import Features


def few_shot_accuracy(
    train: Features, test: Features, *, k: int, episodes: int, seed: int
) -> tuple[float, float, float]:
    """Mean accuracy over episodes, and the normal 95 % interval of that mean.

    An episode draws `k` training samples of every class; each test sample goes to the class whose
    mean direction is nearest by cosine (prototypes, https://arxiv.org/abs/1703.05175, on features
    of unit length, https://arxiv.org/abs/1911.04623). Draws depend on labels and `seed` alone, so
    that all encoders meet the same. Every class has `k` samples: the caller has seen to that.
    """
    train, test = train.with_classes(), test.with_classes()
    labels, truth = np.asarray(train.labels), np.asarray(test.labels)
    names = np.unique(labels)
    known, asked = _unit(train.values), _unit(test.values)
    members = [np.flatnonzero(labels == name) for name in names]
    accuracies = []
    for episode in range(episodes):
        drawn = [
            rows[permutation(len(rows), seed, "few-shot", k, episode, str(name))[:k]]
            for rows, name in zip(members, names, strict=True)
        ]
        prototypes = _unit(np.stack([known[rows].mean(axis=0) for rows in drawn]))
        predicted = names[(asked @ prototypes.T).argmax(axis=1)]
        accuracies.append(float(np.mean(predicted == truth)))
    return float(np.mean(accuracies)), *normal_interval(np.asarray(accuracies))


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
