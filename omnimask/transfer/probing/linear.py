"""What a frozen encoder's features are worth to a linear classifier or regression."""

from dataclasses import dataclass

import numpy as np

from omnimask.foundation.errors import DataError
from omnimask.transfer.intervals import r2, r2_interval, wilson_interval
from omnimask.transfer.probing.knn import Features

STRENGTHS = (0.003, 0.03, 0.3, 3.0)  # scikit-learn's C, the inverse of the regularisation
PENALTIES = (1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)  # scikit-learn's alpha, of ridge
FOLDS = 3
_ITERATIONS = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearScore:
    """Accuracy or R² with its 95 % interval, and the regularisation that training samples chose.

    `strength` is scikit-learn's C of a classifier, its alpha of a regression.
    """

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
    right = np.equal(model.predict(test.values), np.asarray(test.labels))
    low, high = wilson_interval(int(right.sum()), len(right))
    return LinearScore(
        value=float(right.mean()), low=low, high=high, num_test=len(right), strength=strength
    )


def _choose(train: Features) -> float:
    """The strength with the best cross-validated accuracy; of equal ones the weakest model."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    labels = np.asarray(train.labels)
    names, counts = np.unique(labels, return_counts=True)
    kept = np.isin(labels, names[counts >= FOLDS])
    values, labels = train.values[kept], labels[kept]
    if len(set(labels.tolist())) < 2:
        return STRENGTHS[0]
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(values, labels))
    scores = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-3)
        scores.append(
            np.mean([model.fit(values[a], labels[a]).score(values[b], labels[b]) for a, b in folds])
        )
    return STRENGTHS[int(np.argmax(scores))]


def ridge_r2(train: Features, test: Features) -> LinearScore:
    """R² of ridge regression (scikit-learn) on numeric labels; features as `linear_accuracy` has.

    The penalty is chosen by cross-validation on the training samples alone. DataError where the
    training side has fewer numeric labels than folds, or the held-out side none.
    """
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.model_selection import KFold

    train, test = train.with_numbers(), test.with_numbers()
    if len(train.labels) < FOLDS or not test.labels:
        raise DataError(
            f"a ridge probe needs numbers as labels of {FOLDS} training samples and of a held-out "
            f"one, got {len(train.labels)} and {len(test.labels)}"
        )
    known = np.asarray(train.labels, dtype=np.float64)
    truth = np.asarray(test.labels, dtype=np.float64)
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    # By squared error, which is defined for folds of a single sample too.
    choice = RidgeCV(PENALTIES, cv=folds, scoring="neg_mean_squared_error")
    choice.fit(train.values, known)
    strength = float(choice.alpha_)  # pyright: ignore[reportArgumentType]  # fitted just above
    predicted = Ridge(alpha=strength).fit(train.values, known).predict(test.values)
    low, high = r2_interval(truth, predicted)
    return LinearScore(
        value=float(r2(truth, predicted)),
        low=low,
        high=high,
        num_test=len(truth),
        strength=strength,
    )
