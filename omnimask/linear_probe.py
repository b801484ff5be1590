"""What a frozen encoder's features are worth to a linear classifier."""

from dataclasses import dataclass

import numpy as np

from omnimask.errors import DataError
from omnimask.probe import Features, wilson_interval

STRENGTHS = (0.003, 0.03, 0.3, 3.0)  # scikit-learn's C, the inverse of the regularisation
_FOLDS = 3
_ITERATIONS = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearScore:
    """Accuracy with its 95 % interval, and the regularisation that the training samples chose."""

    value: float
    low: float
    high: float
    num_test: int
    strength: float


def linear_accuracy(train: Features, test: Features) -> LinearScore:
    """Multinomial logistic regression (scikit-learn) on features of like scale, as `whiten` gives.

    The regularisation is chosen by stratified cross-validation on the training samples alone; a
    class with fewer samples than folds is left out of the choice, not of the fit. DataError where a
    side has no class labels or the training side fewer than two classes.
    """
    from sklearn.linear_model import LogisticRegression

    train, test = train.with_classes(), test.with_classes()
    if len(set(train.labels)) < 2 or not test.labels:
        raise DataError(
            "a linear probe needs class labels on both sides and two classes or more, got "
            f"{len(set(train.labels))} classes in training and {len(test.labels)} held-out samples"
        )
    strength = _choose(train)
    model = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-3)
    model.fit(train.values, np.asarray(train.labels))
    value = float(np.mean(model.predict(test.values) == np.asarray(test.labels)))
    low, high = wilson_interval(value, len(test.labels))
    return LinearScore(
        value=value, low=low, high=high, num_test=len(test.labels), strength=strength
    )


def _choose(train: Features) -> float:
    """The strength with the best cross-validated accuracy; of equal ones the weakest model."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    labels = np.asarray(train.labels)
    names, counts = np.unique(labels, return_counts=True)
    kept = np.isin(labels, names[counts >= _FOLDS])
    values, labels = train.values[kept], labels[kept]
    if len(set(labels.tolist())) < 2:
        return STRENGTHS[0]
    folds = list(StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(values, labels))
    scores = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-3)
        scores.append(
            np.mean([model.fit(values[a], labels[a]).score(values[b], labels[b]) for a, b in folds])
        )
    return STRENGTHS[int(np.argmax(scores))]
