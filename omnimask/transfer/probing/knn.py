"""What a frozen encoder's features are worth: nearest neighbours on labelled samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import DataError
from omnimask.masking.full import full_plan
from omnimask.network.encoder import Backbone
from omnimask.network.pooling import pool
from omnimask.tokens.modality import Label
from omnimask.tokens.tokens import View
from omnimask.transfer.intervals import r2, r2_interval, wilson_interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """One vector per sample, and the sample's label (None where it has none)."""

    values: Float[np.ndarray, "n d"]
    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        assert len(self.values) == len(self.labels)

    def with_classes(self) -> "Features":
        """Only the samples whose label is a class name."""
        return self._where([isinstance(label, str) for label in self.labels])

    def with_numbers(self) -> "Features":
        """Only the samples whose label is a number."""
        return self._where([isinstance(label, float) for label in self.labels])

    def _where(self, keep: Sequence[bool]) -> "Features":
        rows = np.flatnonzero(np.asarray(keep, dtype=bool))
        return Features(values=self.values[rows], labels=tuple(self.labels[i] for i in rows))


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A measure on held-out samples with its 95 % interval; `k` is the number of neighbours."""

    value: float
    low: float
    high: float
    num_train: int
    num_test: int
    k: int


@torch.no_grad()
def mean_features(backbone: Backbone, view: View) -> Float[Tensor, "b d"]:
    """The mean of the encoder's output over a sample's tokens, all valid ones shown.

    A sample without a valid token has the zero vector. Prefix tokens are left out.
    """
    return pool(backbone([(view, full_plan(view.layout))])[0], "mean")


def standardise(train: Features, test: Features) -> tuple[Features, Features]:
    """Both scaled to the training samples' mean 0 and deviation 1; constant features become 0."""
    mean, scale = mean_and_scale(train.values)

    def scaled(part: Features) -> Features:
        values = ((part.values - mean) * scale).astype(np.float32)
        return Features(values=values, labels=part.labels)

    return scaled(train), scaled(test)


def mean_and_scale(
    values: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """What `standardise` takes away from training samples, and then multiplies them with."""
    mean = values.mean(axis=0, dtype=np.float64)
    deviation = values.std(axis=0, dtype=np.float64)
    return mean, np.where(deviation > 1e-8, 1.0 / np.maximum(deviation, 1e-8), 0.0)


def whiten(train: Features, test: Features) -> tuple[Features, Features]:
    """Both standardised, then turned and scaled to uncorrelated features of deviation 1.

    Almost all variance of a trained encoder's features can lie along the one to three directions
    that its loss rewards first (the size of a group of points, the table of a row). Every feature
    takes part in them, so that standardising leaves nearest neighbours blind to the rest; along the
    principal components of the training samples all directions count alike.

    As many components are kept as there are features, but at most a quarter of the number of
    training samples, since the deviations of more are noise, and none that is rounding.
    """
    train, test = standardise(train, test)
    axes = white_axes(train.values)

    def turned(part: Features) -> Features:
        return Features(values=(part.values @ axes).astype(np.float32), labels=part.labels)

    return turned(train), turned(test)


def whitened(
    known: Float[np.ndarray, "n d"], vectors: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "m w"]:
    """`vectors` turned and scaled as `known` ones become uncorrelated, of deviation 1."""
    train = Features(values=known, labels=(None,) * len(known))
    _, turned = whiten(train, Features(values=vectors, labels=(None,) * len(vectors)))
    return turned.values


def white_axes(values: Float[np.ndarray, "n d"], *, floor: float = 0.0) -> Float[np.ndarray, "d k"]:
    """The matrix that `whiten` multiplies standardised training samples with.

    `floor`: variance, as a share of the largest direction's, that is added to every direction's, so
    that the smallest ones are not scaled up without bound.
    """
    values = values.astype(np.float64)
    num_samples, num_features = values.shape
    # Eigenvectors of the smaller Gram matrix: raw inputs have thousands of values.
    wide = num_features > num_samples
    squares, vectors = np.linalg.eigh(values @ values.T if wide else values.T @ values)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    lasting = int((squares > 1e-10 * squares[0]).sum())
    count = max(min(num_samples // 4, lasting), 1)
    axes = values.T @ vectors[:, :count] if wide else vectors[:, :count]
    deviations = np.sqrt((squares[:count].clip(0) + floor * squares[0]) / num_samples)
    lengths = np.linalg.norm(axes, axis=0) * deviations
    return axes / np.maximum(lengths, 1e-12)


def knn_accuracy(train: Features, test: Features, k: int = 10) -> Score:
    """Share of test samples whose class is the majority of the k nearest training samples'.

    Distance is cosine, every neighbour has one vote, and `k` is lowered to the number of training
    samples. The interval is Wilson's. DataError where a side has no class labels.
    """
    from sklearn.neighbors import KNeighborsClassifier

    train, test = train.with_classes(), test.with_classes()
    _check_not_empty(train, test, "class names")
    k = min(k, len(train.labels))
    neighbours = KNeighborsClassifier(k, metric="cosine", algorithm="brute")
    predicted = neighbours.fit(train.values, np.asarray(train.labels)).predict(test.values)
    right = predicted == np.asarray(test.labels)
    low, high = wilson_interval(int(right.sum()), len(right))
    return Score(
        value=float(right.mean()),
        low=low,
        high=high,
        num_train=len(train.labels),
        num_test=len(test.labels),
        k=k,
    )


def knn_r2(train: Features, test: Features, k: int = 10) -> Score:
    """R² of the mean label of the k nearest training samples, by cosine distance.

    1 is perfect, 0 is as good as the test labels' mean. The interval is the percentile bootstrap
    over test samples. DataError where a side has no numeric labels.
    """
    from sklearn.neighbors import KNeighborsRegressor

    train, test = train.with_numbers(), test.with_numbers()
    _check_not_empty(train, test, "numbers")
    k = min(k, len(train.labels))
    neighbours = KNeighborsRegressor(k, metric="cosine", algorithm="brute")
    truth = np.asarray(test.labels, dtype=np.float64)
    neighbours.fit(train.values, np.asarray(train.labels, dtype=np.float64))
    predicted = neighbours.predict(test.values)
    low, high = r2_interval(truth, predicted)
    return Score(
        value=float(r2(truth, predicted)),
        low=low,
        high=high,
        num_train=len(train.labels),
        num_test=len(test.labels),
        k=k,
    )


def majority_share(train: Features, test: Features) -> float:
    """The accuracy of always answering the commonest class of the training samples."""
    train, test = train.with_classes(), test.with_classes()
    _check_not_empty(train, test, "class names")
    names, counts = np.unique(np.asarray(train.labels), return_counts=True)
    return float(np.mean(np.asarray(test.labels) == names[counts.argmax()]))


def _check_not_empty(train: Features, test: Features, kind: str) -> None:
    if not train.labels or not test.labels:
        raise DataError(
            f"a probe needs labels that are {kind} on both sides, got {len(train.labels)} training "
            f"and {len(test.labels)} held-out samples with one"
        )
