"""What is predicted of a sample: one class, several, numbers, or a class for each of its places."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError

Label = tuple[str | float | None, ...]  # of one sample, a value per label column
Vector = tuple[float, ...]  # the same as numbers, NaN where unknown


@runtime_checkable
class Task(Protocol):
    """A frozen record: labels to numbers, numbers to a loss."""

    @property
    def reads_text(self) -> bool:
        """Whether labels are names of classes; else they are numbers."""
        ...

    @property
    def main_score(self) -> str:
        """The score that early stopping looks at; larger is better."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what the head puts out: classes or numbers."""
        ...

    def fit(self, labels: Sequence[Label], columns: Sequence[str], /) -> "Task":
        """A copy that knows the classes, or the numbers' mean and deviation, of these labels."""
        ...

    def encode(self, label: Label, /) -> Vector | None:
        """None for a label that is missing or of the other type; DataError for an unknown class."""
        ...

    def kinds(self, vector: Vector, /) -> tuple[int, ...]:
        """The classes that a sample has; a choice of a share of the labels takes some of each."""
        ...

    def targets(
        self, labels: Float[Tensor, "b k"], lam: Float[Tensor, "b 1"] | None, /
    ) -> Float[Tensor, "b p"]:
        """What the outputs should be; with `lam`, that share of a sample's own label and the rest
        of the label of the sample that mirrors it in the batch."""
        ...

    def count(self, targets: Float[Tensor, "b p"], /) -> Float[Tensor, ""]:
        """What the sum of losses is divided by."""
        ...

    def loss(
        self, outputs: Float[Tensor, "b p *k"], targets: Float[Tensor, "b p"], /
    ) -> Float[Tensor, ""]:
        """The sum over all samples or places."""
        ...

    def read(self, outputs: Float[Tensor, "b p *k"], /) -> Float[Tensor, "b p *k"]:
        """Outputs as probabilities, or as numbers in the labels' units."""
        ...


def constant(values: tuple[float, ...], device: torch.device) -> Float[Tensor, " p"]:
    """Filled number by number, so that the host does not wait for the device."""
    return torch.stack([torch.full((), value, device=device) for value in values])


def check_smoothing(smoothing: float) -> None:
    if not 0.0 <= smoothing < 1.0:
        raise RecipeError(f"task.smoothing must be in [0, 1), got {smoothing}; write 0.1")
