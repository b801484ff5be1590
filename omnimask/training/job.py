"""A kind of run, as the training loop sees it: `Pretraining` is one, fine-tuning another."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from omnimask.data.streams import StreamReader
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.tokens.tokens import Group
from omnimask.training.checkpoint import Checkpoint
from omnimask.training.step import Hints


@runtime_checkable
class Learner(Protocol):
    """The model of a run, as a step sees it: an `nn.Module` that is called as
    `(groups, progress, watch, hints) -> Outcome`, its sums named as in the recipe. `progress` is
    the share of the run that is done.
    """

    def hints(self, batch: Sequence[Group], /) -> Sequence[Hints]:
        """What the masks of a batch are drawn from beside its samples, by group; () for nothing."""
        ...

    def counts(
        self, batch: Sequence[Group], progress: float, hints: Sequence[Hints], /
    ) -> dict[str, Tensor]:
        """The counts that a call will return, without encoding anything."""
        ...

    def before_clip(self, progress: float, /) -> None:
        """Between a step's gradients and their clipping."""
        ...

    def after_step(self, progress: float, /) -> None:
        """After the optimizer."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def state_dict(self) -> dict[str, Any]: ...


@runtime_checkable
class Job(Protocol):
    """One run in one process. `prepare` comes first; then the loop asks for the rest.

    Everything that a step changes must be in the model's state, the optimizer or `state()`, or a
    resumed run would not be the same.
    """

    @property
    def recipe(self) -> RunRecipe:
        """With its fitted statistics once the job is prepared."""
        ...

    def prepare(self, resumed: Checkpoint[Any] | None) -> Learner:
        """Fits the recipe and builds the model: anew, or as the checkpoint has both."""
        ...

    def open_streams(self) -> list[StreamReader]: ...

    def optimizer(self) -> torch.optim.Optimizer: ...

    def numbers(self, progress: float) -> dict[str, float]:
        """What a log line says beside losses and health."""
        ...

    def check(self, step: int, out: Path, *, write: bool) -> bool:
        """Looks at the run after `step` steps; whether it ends here, alike on every process.

        Only a process with `write` may write into the run folder.
        """
        ...

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps for `prepare` beside weights and optimizer; plain JSON.

        With "ended": True the run is over, however many steps the recipe has.
        """
        ...
