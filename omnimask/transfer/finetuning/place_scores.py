"""How well predicted classes agree with true ones at their places."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusions:
    """Of each sample the numbers of its known places, by true class and predicted class.

    `within`: the same where predictions are chosen among the classes of the sample's category;
    None where class names have none.
    """

    names: tuple[str, ...]
    counts: Int64[np.ndarray, "n k k"]
    within: Int64[np.ndarray, "n k k"] | None


def confusion(
    truth: Int64[Tensor, "b p"], predicted: Int64[Tensor, "b p"], *, num_classes: int
) -> Int64[Tensor, "b k k"]:
    """Counts of (true class, predicted class); places with a truth below 0 are left out."""
    pairs = torch.where(truth >= 0, truth * num_classes + predicted, num_classes**2)
    counts = pairs.new_zeros(len(pairs), num_classes**2 + 1)
    counts.scatter_add_(1, pairs, torch.ones_like(pairs))
    return counts[:, :-1].unflatten(1, (num_classes, num_classes))


def class_ious(counts: Int64[np.ndarray, "*r k k"]) -> Float[np.ndarray, "*r k"]:
    """Intersection over union of each class; NaN for one that is in neither truth nor guess."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    union = counts.sum(axis=-1) + counts.sum(axis=-2) - right
    return np.where(union > 0, right / np.maximum(union, 1), np.nan)


def mean_iou(counts: Int64[np.ndarray, "*r k k"]) -> Float[np.ndarray, "*r"]:
    """Over the classes that are in the truth or in the prediction; 0 where there are none."""
    ious = class_ious(counts)
    found = ~np.isnan(ious)
    return np.asarray(np.where(found, ious, 0.0).sum(axis=-1) / np.maximum(found.sum(axis=-1), 1))


def pixel_accuracy(counts: Int64[np.ndarray, "*r k k"]) -> Float[np.ndarray, "*r"]:
    """The share of known places that are right."""
    right = np.trace(counts, axis1=-2, axis2=-1)
    return np.asarray(right / np.maximum(counts.sum(axis=(-2, -1)), 1))


def categories(names: Sequence[str]) -> dict[str, list[int]]:
    """The classes of each category, by what stands before the slash; empty without slashes."""
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        category, slash, _ = name.partition("/")
        if slash:
            found.setdefault(category, []).append(number)
    return found


def within_category(
    values: Float[Tensor, "b p k"], truth: Int64[Tensor, "b p"], names: Sequence[str]
) -> Int64[Tensor, "b p"]:
    """The likeliest class at each place among those of its true class's category; any where the
    truth is not known."""
    groups = list(categories(names).values())
    allowed = torch.zeros(len(names) + 1, len(names), dtype=torch.bool)
    for group in groups:
        for number in group:
            allowed[number, group] = True
    allowed[-1] = True
    here = allowed.to(values.device)[truth]  # -1 is the last row
    return values.masked_fill(~here, -torch.inf).argmax(dim=2)


def part_means(
    within: Int64[np.ndarray, "n k k"], names: Sequence[str]
) -> tuple[list[str], Float[np.ndarray, " m"]]:
    """Of each sample with known places its category and the mean over that category's parts; 1 for
    a part that is in neither, as in PointNet's evaluation (https://arxiv.org/abs/1612.00593,
    section 5.1)."""
    grouped, ious = categories(names), class_ious(within)
    found, means = [], []
    for counts, of_sample in zip(within, ious, strict=True):
        truth = counts.sum(axis=1)
        if truth.any():
            category = names[int(truth.argmax())].partition("/")[0]
            parts = of_sample[grouped[category]]
            found.append(category)
            means.append(np.where(np.isnan(parts), 1.0, parts).mean())
    return found, np.asarray(means, dtype=np.float64)


def mean_over_categories(found: np.ndarray, means: Float[np.ndarray, " n"]) -> float:
    """The mean of the categories' means over their samples; `found` has each one's category."""
    return float(np.mean([means[found == name].mean() for name in np.unique(found)]))
