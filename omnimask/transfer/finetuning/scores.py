"""Held-out predictions to scores with 95 % intervals.

An interval measures hundreds of resamples, and on a few numbers scikit-learn's recall and F1 take a
hundred times as long as counting: these two are counted, and the tests compare them with it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from omnimask.foundation.errors import DataError
from omnimask.transfer.finetuning.classification import Classification, MultiLabel
from omnimask.transfer.finetuning.place_scores import (
    Confusions,
    class_ious,
    mean_iou,
    mean_over_categories,
    part_means,
    pixel_accuracy,
)
from omnimask.transfer.finetuning.tasks import Task
from omnimask.transfer.intervals import bootstrap_interval, r2, r2_interval, wilson_interval

_RESAMPLES = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A score and the 95 % interval that the number of samples gives it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """What a task read from a model for some samples, and their labels as it encodes them."""

    names: tuple[str, ...]
    values: Float[np.ndarray, "n p"]
    truth: Float[np.ndarray, "n k"]


Results = Predicted | Confusions
Measure = Callable[[np.ndarray, np.ndarray], float]


def score(task: Task, predicted: Results) -> dict[str, Interval]:
    """Accuracy (Wilson's interval), balanced accuracy and macro-F1; mean average precision,
    macro-F1 and exact matches at a threshold of one half; R² and MAE, per number and on average;
    or mean IoU and accuracy of all places together, and mean IoU of parts by instance and by
    category.

    All other intervals are the percentile bootstrap over samples.
    """
    if isinstance(predicted, Confusions):
        return _of_places(task, predicted)
    if isinstance(task, Classification):
        return _of_classes(predicted)
    if isinstance(task, MultiLabel):
        return _of_several(predicted)
    return _of_numbers(task, predicted)


def _of_classes(predicted: Predicted) -> dict[str, Interval]:
    truth, chosen = predicted.truth[:, 0].astype(int), predicted.values.argmax(axis=1)
    return {
        "accuracy": _share(truth == chosen),
        "balanced_accuracy": _interval(balanced_accuracy, truth, chosen),
        "macro_f1": _interval(macro_f1, truth, chosen),
    }


def balanced_accuracy(truth: np.ndarray, chosen: np.ndarray) -> float:
    """The mean recall of the classes that are there."""
    right, there, _ = _counts(truth, chosen)
    return float((right[there > 0] / there[there > 0]).mean())


def macro_f1(truth: np.ndarray, chosen: np.ndarray) -> float:
    """The mean F1 of the classes that are there or were predicted."""
    right, there, predicted = _counts(truth, chosen)
    found = there + predicted
    return float((2 * right[found > 0] / found[found > 0]).mean())


def _counts(truth: np.ndarray, chosen: np.ndarray) -> tuple[Int64[np.ndarray, " k"], ...]:
    """Per class: samples that are right, samples that are there, and predictions."""
    classes = max(truth.max(), chosen.max()) + 1
    parts = (truth[truth == chosen], truth, chosen)
    return tuple(np.bincount(part, minlength=classes) for part in parts)


def _of_several(predicted: Predicted) -> dict[str, Interval]:
    truth, values = predicted.truth.astype(int), predicted.values
    return {
        "mean_average_precision": _interval(mean_average_precision, truth, values),
        "macro_f1": _interval(macro_f1_of_several, truth, (values >= 0.5).astype(int)),
        "exact_match": _share(np.all(truth == (values >= 0.5), axis=1)),
    }


def macro_f1_of_several(truth: np.ndarray, chosen: np.ndarray) -> float:
    """The mean F1 of all classes, 0 for one that is nowhere; of flags (sample, class)."""
    found = truth.sum(axis=0) + chosen.sum(axis=0)
    return float((2 * (truth * chosen).sum(axis=0) / np.maximum(found, 1)).mean())


def mean_average_precision(truth: np.ndarray, values: np.ndarray) -> float:
    """Over the classes that are there; 0 where there is none."""
    from sklearn.metrics import average_precision_score

    found = [
        float(average_precision_score(truth[:, i], values[:, i]))
        for i in range(truth.shape[1])
        if truth[:, i].any()
    ]
    return float(np.mean(found)) if found else 0.0


def _of_numbers(task: Task, predicted: Predicted) -> dict[str, Interval]:
    scores: dict[str, Interval] = {}
    for column, name in enumerate(task.outputs):
        known = ~np.isnan(predicted.truth[:, column])
        if not known.any():
            raise DataError(f"no held-out sample has a number in the label column {name!r}")
        truth, values = predicted.truth[known, column], predicted.values[known, column]
        suffix = f"/{name}" if len(task.outputs) > 1 else ""
        low, high = r2_interval(truth, values, resamples=_RESAMPLES)
        scores[f"r2{suffix}"] = Interval(value=_r2(truth, values), low=low, high=high)
        scores[f"mae{suffix}"] = _interval(_mae, truth, values)
    if len(task.outputs) > 1:
        for kind in ("r2", "mae"):
            parts = [scores[f"{kind}/{name}"] for name in task.outputs]
            scores[kind] = Interval(
                value=float(np.mean([part.value for part in parts])),
                low=float(np.mean([part.low for part in parts])),
                high=float(np.mean([part.high for part in parts])),
            )
    return scores


def _of_places(task: Task, found: Confusions) -> dict[str, Interval]:
    counts = found.counts

    def measure(rows: np.ndarray) -> np.ndarray:
        times = np.stack([np.bincount(row, minlength=len(counts)) for row in rows])
        resampled = (times @ counts.reshape(len(counts), -1)).reshape(-1, *counts.shape[1:])
        return np.stack([mean_iou(resampled), pixel_accuracy(resampled)])

    total = counts.sum(axis=0)
    values = (float(mean_iou(total)), float(pixel_accuracy(total)))
    lows, highs = bootstrap_interval(measure, len(counts), resamples=_RESAMPLES)
    scores = {
        name: Interval(value=value, low=float(low), high=float(high))
        for name, value, low, high in zip(("mean_iou", "accuracy"), values, lows, highs)
    }
    return scores if found.within is None else scores | _of_parts(found.within, task.outputs)


def _of_parts(within: np.ndarray, classes: tuple[str, ...]) -> dict[str, Interval]:
    found, means = part_means(within, classes)
    if not found:  # not one place is known
        return {}
    names = np.asarray(found)
    return {
        "instance_mean_iou": _interval(lambda _, m: float(m.mean()), names, means),
        "category_mean_iou": _interval(mean_over_categories, names, means),
    }


def per_class(task: Task, predicted: Results) -> dict[str, float | None]:
    """The share of each class's samples that are right (recall), or of its places the intersection
    over union; None for a class that is not there. Empty for tasks of another kind."""
    if isinstance(predicted, Confusions):
        values = class_ious(predicted.counts.sum(axis=0))
    elif isinstance(task, Classification):
        counts = confusion_of(task, predicted)
        right, there = np.diagonal(counts), counts.sum(axis=1)
        values = np.where(there > 0, right / np.maximum(there, 1), np.nan)
    else:
        return {}
    known = zip(task.outputs, values.tolist(), strict=True)
    return {name: None if value != value else value for name, value in known}


def confusion_of(task: Task, predicted: Results) -> np.ndarray:
    """Counts of (true class, predicted class), of samples or of places."""
    if isinstance(predicted, Confusions):
        return predicted.counts.sum(axis=0)
    from sklearn.metrics import confusion_matrix

    truth, chosen = predicted.truth[:, 0].astype(int), predicted.values.argmax(axis=1)
    return confusion_matrix(truth, chosen, labels=list(range(len(task.outputs))))


def _r2(truth: np.ndarray, values: np.ndarray) -> float:
    return float(r2(truth, values))


def _mae(truth: np.ndarray, values: np.ndarray) -> float:
    return float(np.abs(truth - values).mean())


def _interval(measure: Measure, truth: np.ndarray, values: np.ndarray) -> Interval:
    low, high = bootstrap_interval(
        lambda rows: np.array([measure(truth[row], values[row]) for row in rows]),
        len(truth),
        resamples=_RESAMPLES,
    )
    return Interval(value=measure(truth, values), low=float(low), high=float(high))


def _share(right: np.ndarray) -> Interval:
    low, high = wilson_interval(int(right.sum()), len(right))
    return Interval(value=float(right.mean()), low=low, high=high)


def main_value(task: Task, predicted: Results) -> float:
    """The one score that early stopping compares, without its interval."""
    if isinstance(predicted, Confusions):
        return float(mean_iou(predicted.counts.sum(axis=0)))
    if isinstance(task, Classification):
        return balanced_accuracy(predicted.truth[:, 0].astype(int), predicted.values.argmax(axis=1))
    if isinstance(task, MultiLabel):
        return mean_average_precision(predicted.truth.astype(int), predicted.values)
    parts = []
    for column in range(predicted.truth.shape[1]):
        known = ~np.isnan(predicted.truth[:, column])
        if known.any():
            parts.append(_r2(predicted.truth[known, column], predicted.values[known, column]))
    return float(np.mean(parts)) if parts else 0.0
