"""Classes as what is predicted of a sample: one of them, or several."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import DataError, RecipeError
from omnimask.transfer.finetuning.tasks import Label, Vector, check_smoothing, constant


@dataclass(frozen=True, kw_only=True, slots=True)
class Classification:
    """One class per sample.

    `smoothing`: label smoothing (https://arxiv.org/abs/1512.00567, section 7). `weights`:
    "balanced" weights a class by num_samples / (num_classes * its samples), as scikit-learn does;
    `class_weights` are the numbers, filled by `fit` where they are empty. `min_samples`: a class
    with fewer labelled training samples is an error.
    """

    classes: tuple[str, ...] = ()
    smoothing: float = 0.0
    weights: Literal["none", "balanced"] = "none"
    class_weights: tuple[float, ...] = ()
    min_samples: int = 2

    def __post_init__(self) -> None:
        check_smoothing(self.smoothing)

    @property
    def reads_text(self) -> bool:
        return True

    @property
    def main_score(self) -> str:
        return "balanced_accuracy"

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.classes

    def fit(self, labels: Sequence[Label], columns: Sequence[str], /) -> "Classification":
        if len(columns) != 1:
            raise RecipeError(
                f"one class per sample comes from one label column, got {list(columns)}; use "
                "MultiLabel for several"
            )
        counts = Counter(label[0] for label in labels if isinstance(label[0], str))
        classes = self.classes or tuple(sorted(counts))
        _check_counts({name: counts[name] for name in classes}, self.min_samples)
        if self.class_weights:
            if len(self.class_weights) != len(classes):
                raise RecipeError(
                    f"task.class_weights must have one number for each of {len(classes)} classes "
                    f"({', '.join(classes)}), got {len(self.class_weights)}"
                )
            return replace(self, classes=classes)
        if self.weights == "none":
            return replace(self, classes=classes)
        total = sum(counts[name] for name in classes)
        weights = tuple(total / (len(classes) * max(counts[name], 1)) for name in classes)
        return replace(self, classes=classes, class_weights=weights)

    def encode(self, label: Label, /) -> Vector | None:
        if not isinstance(label[0], str):
            return None
        return (float(_number_of(label[0], self.classes)),)

    def kinds(self, vector: Vector, /) -> tuple[int, ...]:
        return (int(vector[0]),)

    def targets(
        self, labels: Float[Tensor, "b k"], lam: Float[Tensor, "b 1"] | None, /
    ) -> Float[Tensor, "b p"]:
        return _mixed(labels[:, 0], len(self.classes), lam, self.smoothing, several=False)

    def count(self, targets: Float[Tensor, "b p"], /) -> Float[Tensor, ""]:
        if not self.class_weights:
            return _num_rows(targets)
        return (targets * constant(self.class_weights, targets.device)).sum()

    def loss(
        self, outputs: Float[Tensor, "b p"], targets: Float[Tensor, "b p"], /
    ) -> Float[Tensor, ""]:
        """Cross-entropy, its mean weighted by the classes' weights."""
        losses = -targets * outputs.float().log_softmax(dim=1)
        if self.class_weights:
            losses = losses * constant(self.class_weights, outputs.device)
        return losses.sum()

    def read(self, outputs: Float[Tensor, "b p"], /) -> Float[Tensor, "b p"]:
        return outputs.float().softmax(dim=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiLabel:
    """Any number of classes per sample: names in one column, parted by `separator`, or one column
    per class that holds 0 or 1.

    `class_weights` multiply the loss of a class where it is present; "balanced" takes the ratio of
    samples without it to samples with it.
    """

    classes: tuple[str, ...] = ()
    separator: str = ";"
    smoothing: float = 0.0
    weights: Literal["none", "balanced"] = "none"
    class_weights: tuple[float, ...] = ()
    min_samples: int = 2

    def __post_init__(self) -> None:
        check_smoothing(self.smoothing)

    @property
    def reads_text(self) -> bool:
        return True

    @property
    def main_score(self) -> str:
        return "mean_average_precision"

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.classes

    def fit(self, labels: Sequence[Label], columns: Sequence[str], /) -> "MultiLabel":
        present = [self._present(label, columns) for label in labels]
        found = [names for names in present if names is not None]
        counts = Counter(name for names in found for name in names)
        several = tuple(columns) if len(columns) > 1 else tuple(sorted(counts))
        classes = self.classes or several
        _check_counts({name: counts[name] for name in classes}, self.min_samples)
        if self.weights == "none" or self.class_weights:
            return replace(self, classes=classes)
        ratios = tuple((len(found) - counts[n]) / max(counts[n], 1) for n in classes)
        return replace(self, classes=classes, class_weights=ratios)

    def _present(self, label: Label, columns: Sequence[str]) -> tuple[str, ...] | None:
        if any(part is None for part in label):
            return None
        if len(label) == 1:
            names = str(label[0]).split(self.separator)
            return tuple(name.strip() for name in names if name.strip())
        return tuple(n for n, part in zip(columns, label, strict=True) if _is_yes(str(part)))

    def encode(self, label: Label, /) -> Vector | None:
        names = self._present(label, self.classes)
        if names is None:
            return None
        there = {_number_of(name, self.classes) for name in names}
        return tuple(float(number in there) for number in range(len(self.classes)))

    def kinds(self, vector: Vector, /) -> tuple[int, ...]:
        return tuple(number for number, there in enumerate(vector) if there)

    def targets(
        self, labels: Float[Tensor, "b k"], lam: Float[Tensor, "b 1"] | None, /
    ) -> Float[Tensor, "b p"]:
        return _mixed(labels, len(self.classes), lam, self.smoothing, several=True)

    def count(self, targets: Float[Tensor, "b p"], /) -> Float[Tensor, ""]:
        return _num_rows(targets)

    def loss(
        self, outputs: Float[Tensor, "b p"], targets: Float[Tensor, "b p"], /
    ) -> Float[Tensor, ""]:
        """Binary cross-entropy, averaged over the classes."""
        weights = constant(self.class_weights, outputs.device) if self.class_weights else None
        losses = F.binary_cross_entropy_with_logits(
            outputs.float(), targets, pos_weight=weights, reduction="none"
        ).mean(dim=1)
        return losses.sum()

    def read(self, outputs: Float[Tensor, "b p"], /) -> Float[Tensor, "b p"]:
        return outputs.float().sigmoid()


def _num_rows(targets: Float[Tensor, "b p"]) -> Float[Tensor, ""]:
    return torch.full_like(targets[0, 0], float(len(targets)))


def _mixed(
    labels: Tensor, num_classes: int, lam: Tensor | None, smoothing: float, *, several: bool
) -> Float[Tensor, "b p"]:
    from timm.data.mixup import mixup_target

    share = torch.ones(len(labels), 1, device=labels.device) if lam is None else lam
    return mixup_target(labels, num_classes, lam=share, smoothing=smoothing, multi_label=several)  # pyright: ignore[reportArgumentType]  (timm has lam as a float; a tensor broadcasts)


def _number_of(name: str, classes: tuple[str, ...]) -> int:
    if name not in classes:
        raise DataError(
            f"the class {name!r} is not among those of the training samples: {', '.join(classes)}; "
            "add training samples of it, or take those samples out of the held-out files"
        )
    return classes.index(name)


def _check_counts(counts: Mapping[str, int], min_samples: int) -> None:
    if len(counts) < 2:
        raise DataError(
            f"classification needs at least two classes among the training samples, got "
            f"{sorted(counts)}; labels are the names of the folders that files lie in, or a column "
            "named by `labels.table` and `labels.columns`; for numbers use task=Regression()"
        )
    few = {name: count for name, count in counts.items() if count < min_samples}
    if few:
        raise DataError(
            f"too few labelled training samples of {few}; expected at least {min_samples} of each "
            "class. Add samples, take the class out, or write --set task.min_samples=1"
        )


def _is_yes(text: str) -> bool:
    known = {"1": True, "1.0": True, "true": True, "yes": True}
    known |= {"0": False, "0.0": False, "false": False, "no": False, "": False}
    if text.strip().lower() not in known:
        raise DataError(f"a label column per class holds 0 or 1, got {text!r}")
    return known[text.strip().lower()]
