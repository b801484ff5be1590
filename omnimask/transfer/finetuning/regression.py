"""Numbers as what is predicted of a sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import DataError
from omnimask.transfer.finetuning.tasks import Label, Vector, constant


@dataclass(frozen=True, kw_only=True, slots=True)
class Regression:
    """One number per label column; they are standardised within, and a missing one is left out.

    `names`, `mean` and `deviation` are filled by `fit`.
    """

    kind: Literal["mse", "l1", "smooth_l1"] = "mse"
    names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def reads_text(self) -> bool:
        return False

    @property
    def main_score(self) -> str:
        return "r2"

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.names

    def fit(self, labels: Sequence[Label], columns: Sequence[str], /) -> "Regression":
        vectors = [v for v in map(self.encode, labels) if v is not None]
        if len(vectors) < 2:
            raise DataError(
                f"regression needs at least two samples with numbers as labels, got {len(vectors)}"
                "; for labels that are names use task=Classification()"
            )
        values = np.asarray(vectors, dtype=np.float64)
        return replace(
            self,
            names=tuple(columns),
            mean=tuple(np.nanmean(values, axis=0).tolist()),
            deviation=tuple(np.maximum(np.nanstd(values, axis=0), 1e-8).tolist()),
        )

    def encode(self, label: Label, /) -> Vector | None:
        """None where not one of the columns has a number."""
        numbers = [float(x) if isinstance(x, float) else float("nan") for x in label]
        return None if all(np.isnan(numbers)) else tuple(numbers)

    def kinds(self, vector: Vector, /) -> tuple[int, ...]:
        return ()

    def targets(
        self, labels: Float[Tensor, "b k"], lam: Float[Tensor, "b 1"] | None, /
    ) -> Float[Tensor, "b p"]:
        mean, deviation = (constant(x, labels.device) for x in (self.mean, self.deviation))
        scaled = (labels - mean) / deviation
        return scaled if lam is None else scaled * lam + scaled.flip(0) * (1.0 - lam)

    def count(self, targets: Float[Tensor, "b p"], /) -> Float[Tensor, ""]:
        return (~targets.isnan()).sum(dtype=torch.float32)

    def loss(
        self, outputs: Float[Tensor, "b p"], targets: Float[Tensor, "b p"], /
    ) -> Float[Tensor, ""]:
        known = ~targets.isnan()
        aims = torch.where(known, targets, 0.0)
        by_kind = {"mse": F.mse_loss, "l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss}
        losses = by_kind[self.kind](outputs.float(), aims, reduction="none")
        return torch.where(known, losses, 0.0).sum()

    def read(self, outputs: Float[Tensor, "b p"], /) -> Float[Tensor, "b p"]:
        mean, deviation = (constant(x, outputs.device) for x in (self.mean, self.deviation))
        return outputs.float() * deviation + mean
