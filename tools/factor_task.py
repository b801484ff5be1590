"""All factors of a sample at once, as what a fine-tuning run learns: classes and numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import DataError
from omnimask.objectives.objective import LossSum
from omnimask.transfer.finetuning.tasks import Label, Vector, constant


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    """One label column per factor. Those in `classes` are told apart by cross-entropy, the others
    standardised and learnt by squared error; a sample's loss is the mean over factors, of which
    every one is at 1 where nothing is known.

    `names`, `values` (of each factor its classes in order, none of a number), `mean` and
    `deviation` are filled by `fit`.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...] = ()
    values: tuple[tuple[str, ...], ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def reads_text(self) -> bool:
        return True

    @property
    def main_score(self) -> str:
        return "mean"

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(
            f"{name}={value}" if value else name
            for name, values in zip(self.names, self.values, strict=True)
            for value in values or ("",)
        )

    def fit(self, labels: Sequence[Label], columns: Sequence[str], /) -> "Factors":
        values, mean, deviation = [], [], []
        for name, column in zip(columns, zip(*labels, strict=True), strict=True):
            if name in self.classes:
                values.append(tuple(sorted({str(label) for label in column})))
                mean.append(0.0)
                deviation.append(1.0)
                continue
            numbers = torch.tensor([float(str(label)) for label in column], dtype=torch.float64)
            values.append(())
            mean.append(float(numbers.mean()))
            deviation.append(float(numbers.std()))
        return replace(
            self,
            names=tuple(columns),
            values=tuple(values),
            mean=tuple(mean),
            deviation=tuple(deviation),
        )

    def encode(self, label: Label, /) -> Vector | None:
        return tuple(map(_number, label, self.names, self.values))

    def kinds(self, vector: Vector, /) -> tuple[int, ...]:
        return ()

    def targets(
        self, labels: Float[Tensor, "b k"], lam: Float[Tensor, "b 1"] | None, /
    ) -> Float[Tensor, "b p"]:
        assert lam is None, "factors are not mixed"
        mean, deviation = (constant(x, labels.device) for x in (self.mean, self.deviation))
        return (labels - mean) / deviation

    def count(self, targets: Float[Tensor, "b p"], /) -> Float[Tensor, ""]:
        return torch.full_like(targets[0, 0], float(len(targets)))

    def loss(self, outputs: Float[Tensor, "b p"], targets: Float[Tensor, "b p"], /) -> LossSum:
        parts = []
        for part, target, values in zip(
            self.split(outputs.float()), targets.T, self.values, strict=True
        ):
            if values:
                parts.append(F.cross_entropy(part, target.long()) / math.log(len(values)))
            else:
                parts.append(F.mse_loss(part[:, 0], target))
        count = self.count(targets)
        return LossSum(total=torch.stack(parts).mean() * count, count=count)

    def read(self, outputs: Float[Tensor, "b p"], /) -> Float[Tensor, "b p"]:
        """As they are: scores of classes, standardised numbers."""
        return outputs.float()

    def split(self, outputs: Float[Tensor, "b p"], /) -> tuple[Tensor, ...]:
        """The outputs of each factor."""
        return outputs.split([max(len(values), 1) for values in self.values], dim=1)


def _number(part: str | float | None, name: str, values: tuple[str, ...]) -> float:
    text = str(part)
    if values and text not in values:
        raise DataError(
            f"no training sample has {name} {text!r}, only {', '.join(values)}; take more of them"
        )
    return float(values.index(text) if values else text)
