"""Masked pretraining, as the training loop sees it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from omnimask.data.streams import StreamReader, open_streams
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import FrozenTeacher, Teacher
from omnimask.training.checkpoint import Checkpoint
from omnimask.training.fitting import fit
from omnimask.training.going_on import changed_optim
from omnimask.training.optimisation import build_optimizer
from omnimask.training.progress import say
from omnimask.training.step import MaskedModel, build_model
from omnimask.training.teacher_network import load_frozen


@runtime_checkable
class Starts(Protocol):
    """The trained encoders that a recipe's `start` names, opened."""

    def fill(self, recipe: Recipe, /) -> Recipe:
        """The recipe with the statistics of their pretraining wherever it states none itself."""
        ...

    def load(self, model: MaskedModel, /) -> None:
        """Puts their weights into the model; an EMA teacher begins as the student does."""
        ...

    def lines(self, recipe: Recipe, /) -> tuple[str, ...]:
        """For people: what comes from where, and what is new."""
        ...


@dataclass(kw_only=True, slots=True)
class Pretraining:
    """Masked pretraining by a `Recipe`. A recipe with `start` needs what opens them: `starts` is
    `transfer.warm_start.open_starts`, which `omnimask.pretrain` hands in.
    """

    recipe: Recipe
    starts: Callable[[Recipe], Starts] | None = None
    built: MaskedModel | None = None

    @property
    def model(self) -> MaskedModel:
        assert self.built is not None, "prepared before it is asked for"
        return self.built

    def prepare(self, resumed: Checkpoint[Any] | None) -> MaskedModel:
        recipe = self.recipe
        starts = None
        if resumed is None:
            assert self.starts is not None or not recipe.start, "somebody has to open the starts"
            starts = self.starts(recipe) if self.starts is not None and recipe.start else None
            recipe = fit(recipe if starts is None else starts.fill(recipe))
        else:  # the fitted statistics are the checkpoint's; only how the run is done may change
            optim = changed_optim(resumed.recipe.optim, recipe.optim)
            recipe = replace(resumed.recipe, run=recipe.run, data=recipe.data, optim=optim)
        model = build_model(recipe)
        if resumed is not None:
            model.load_state_dict(resumed.weights)
        elif isinstance(recipe.teacher, FrozenTeacher) and recipe.teacher.run is not None:
            assert model.teacher is not None
            load_frozen(model.teacher, recipe.teacher)
        if starts is not None:
            starts.load(model)
            say(starts.lines(recipe))
        self.recipe, self.built = recipe, model
        return model

    def open_streams(self) -> list[StreamReader]:
        return open_streams(self.recipe)

    def optimizer(self) -> torch.optim.Optimizer:
        return build_optimizer(self.model, self.recipe.optim)

    def numbers(self, progress: float) -> dict[str, float]:
        teacher = self.recipe.teacher
        return {"teacher_decay": teacher.decay_at(progress)} if isinstance(teacher, Teacher) else {}

    def check(self, step: int, out: Path, *, write: bool) -> bool:
        return False

    def state(self) -> dict[str, Any]:
        return {}
