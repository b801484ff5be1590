"""How well predicted classes agree with true ones at their places."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def confusion(
    truth: Int64[Tensor, "*p"], predicted: Int64[Tensor, "*p"], *, num_classes: int
) -> Int64[Tensor, "k k"]:
    """Counts of (true class, predicted class); places with a truth below 0 are left out."""
    pairs = torch.where(truth >= 0, truth * num_classes + predicted, num_classes**2).flatten()
    counts = pairs.new_zeros(num_classes**2 + 1)
    counts.scatter_add_(0, pairs, torch.ones_like(pairs))
    return counts[:-1].unflatten(0, (num_classes, num_classes))


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """`mean_iou`: over the classes that are in the truth or in the prediction. `per_class`: the
    intersection over union of each, None for one that is in neither. `accuracy`: the share of
    known places that are right."""

    mean_iou: float
    accuracy: float
    per_class: dict[str, float | None]


def scores(counts: Int64[Tensor, "k k"], names: Sequence[str]) -> Scores:
    """From a confusion matrix summed over all samples; zeros where nothing is known."""
    matrix = counts.double().cpu()
    right = matrix.diagonal()
    union = matrix.sum(dim=0) + matrix.sum(dim=1) - right
    met = union > 0
    ious = (right / union.clamp_min(1)).tolist()
    per_class = {n: iou if there else None for n, iou, there in zip(names, ious, met.tolist())}
    found = [iou for iou in per_class.values() if iou is not None]
    return Scores(
        mean_iou=sum(found) / max(len(found), 1),
        accuracy=float(right.sum() / matrix.sum().clamp_min(1)),
        per_class=per_class,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PartScores:
    """Mean intersection over union of parts: over all samples, and over the categories' means."""

    instance_mean_iou: float
    category_mean_iou: float
    per_category: dict[str, float]


def categories(names: Sequence[str]) -> dict[str, list[int]]:
    """The classes of each category, by what stands before the slash; empty without slashes."""
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        category, slash, _ = name.partition("/")
        if slash:
            found.setdefault(category, []).append(number)
    return found


def within_category(
    logits: Float[Tensor, "p k"], truth: Int64[Tensor, " p"], names: Sequence[str]
) -> tuple[str, Int64[Tensor, " p"]] | None:
    """The sample's category, that of its true parts, and its likeliest part at each place among
    that category's; None where no place is known."""
    known = truth[truth >= 0]
    if len(known) == 0:
        return None
    category = names[int(known[0])].partition("/")[0]
    parts = torch.tensor(categories(names)[category], device=logits.device)
    return category, parts[logits.index_select(1, parts).argmax(dim=1)]


def part_iou(
    truth: Int64[Tensor, " p"], predicted: Int64[Tensor, " p"], parts: Sequence[int]
) -> float:
    """The mean over a category's parts in one sample; 1 for a part that is in neither, as in the
    evaluation of PointNet, https://arxiv.org/abs/1612.00593, section 5.1."""
    known = truth >= 0
    ious = []
    for part in parts:
        true, guessed = (truth == part) & known, (predicted == part) & known
        union = int((true | guessed).sum())
        ious.append(1.0 if union == 0 else int((true & guessed).sum()) / union)
    return sum(ious) / len(ious)


def part_scores(per_sample: Sequence[tuple[str, float]]) -> PartScores:
    """From each sample's category and mean over parts."""
    by_category: dict[str, list[float]] = {}
    for category, iou in per_sample:
        by_category.setdefault(category, []).append(iou)
    means = {name: sum(ious) / len(ious) for name, ious in sorted(by_category.items())}
    return PartScores(
        instance_mean_iou=sum(iou for _, iou in per_sample) / max(len(per_sample), 1),
        category_mean_iou=sum(means.values()) / max(len(means), 1),
        per_category=means,
    )
