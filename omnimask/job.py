"""A kind of run, as the training loop sees it; and pretraining, which is one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from omnimask.batch import Group
from omnimask.checkpoint import Checkpoint
from omnimask.data import StreamReader, fit, open_streams
from omnimask.model import MaskedModel, build_model
from omnimask.optim import build_optimizer
from omnimask.recipe import Recipe
from omnimask.run_recipe import RunRecipe
from omnimask.starting import (
    OpenedStart,
    open_starts,
    start_lines,
    take_modalities,
    take_weights,
)
from omnimask.teacher import FrozenTeacher, Teacher
from omnimask.teacher_network import load_frozen, update_teacher


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

    def prepare(self, resumed: Checkpoint[Any] | None) -> nn.Module:
        """Fits the recipe and builds the model: anew, or as the checkpoint has both.

        The model is `(groups, progress, watch) -> Outcome`, its sums named as in `recipe`.
        """
        ...

    def open_streams(self) -> list[StreamReader]: ...

    def optimizer(self) -> torch.optim.Optimizer: ...

    def counts(self, groups: Sequence[Group], progress: float) -> dict[str, Tensor]:
        """The counts that the model will return, without encoding anything."""
        ...

    def before_clip(self, progress: float) -> None:
        """Between a step's gradients and their clipping."""
        ...

    def after_step(self, progress: float) -> None:
        """After the optimizer; `progress` is the share of the run that is now done."""
        ...

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


@dataclass(kw_only=True, slots=True)
class Pretraining:
    """Masked pretraining by a `Recipe`."""

    recipe: Recipe
    built: MaskedModel | None = None

    @property
    def model(self) -> MaskedModel:
        assert self.built is not None, "prepared before it is asked for"
        return self.built

    def prepare(self, resumed: Checkpoint[Any] | None) -> MaskedModel:
        recipe = self.recipe
        starts: tuple[OpenedStart, ...] = ()
        if resumed is None:
            starts = open_starts(recipe)
            recipe = fit(take_modalities(recipe, starts))
        else:  # the fitted statistics are the checkpoint's; only how the run is done may change
            recipe = replace(resumed.recipe, run=recipe.run, data=recipe.data)
        model = build_model(recipe)
        if resumed is not None:
            model.load_state_dict(resumed.weights)
        elif isinstance(recipe.teacher, FrozenTeacher) and recipe.teacher.run is not None:
            assert model.teacher is not None
            load_frozen(model.teacher, recipe.teacher)
        take_weights(model, starts)
        if starts:
            _say(start_lines(recipe, starts))
        self.recipe, self.built = recipe, model
        return model

    def open_streams(self) -> list[StreamReader]:
        return open_streams(self.recipe)

    def optimizer(self) -> torch.optim.Optimizer:
        return build_optimizer(self.model, self.recipe.optim)

    def counts(self, groups: Sequence[Group], progress: float) -> dict[str, Tensor]:
        return self.model.counts(groups, progress)

    def before_clip(self, progress: float) -> None:
        """Every gradient counts."""

    def after_step(self, progress: float) -> None:
        teacher = self.recipe.teacher
        if isinstance(teacher, Teacher):
            assert self.model.teacher is not None
            update_teacher(self.model.teacher, self.model, teacher.decay_at(progress))

    def numbers(self, progress: float) -> dict[str, float]:
        teacher = self.recipe.teacher
        return {"teacher_decay": teacher.decay_at(progress)} if isinstance(teacher, Teacher) else {}

    def check(self, step: int, out: Path, *, write: bool) -> bool:
        return False

    def state(self) -> dict[str, Any]:
        return {}


def _say(lines: Sequence[str]) -> None:
    from omnimask.trainer import is_main_process  # it carries out jobs

    if is_main_process():
        for line in lines:
            print(line)
