"""Our own training step on one batch, ready to be repeated: what `omnimask pretrain` does."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from omnimask.data.streams import Shard, StepBatch, Steps, open_streams
from omnimask.foundation.determinism import same_sums_on_cpu
from omnimask.network.blocks import Block, CrossBlock
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.tokens import Group
from omnimask.training.fitting import fit
from omnimask.training.optimisation import StepReport, Training, step_once
from omnimask.training.pretraining import Pretraining
from omnimask.training.step import MaskedModel

Precision = Literal["fp32", "bf16"]


@dataclass(kw_only=True, slots=True)
class OurStep:
    """One step of `training` on the same batch whenever it is called."""

    training: Training
    model: MaskedModel
    recipe: Recipe  # with its statistics
    groups: tuple[Group, ...]
    number: int = 0

    def __call__(self) -> StepReport:
        batch = StepBatch(step=self.number, micro=(self.groups,), bad=())
        self.number += 1
        with same_sums_on_cpu(self.training.accelerator.device):
            return step_once(self.training, batch)

    @property
    def precision(self) -> Precision:
        return "bf16" if self.training.accelerator.mixed_precision == "bf16" else "fp32"

    def on(self, groups: Sequence[Group]) -> "OurStep":
        """The same model and optimizer on other groups."""
        return replace(self, groups=tuple(groups))

    def again(self) -> "OurStep":
        """The same batch with a model and an optimizer of their own."""
        return _with_model(self.recipe, self.training.accelerator, self.groups)


def our_step(recipe: Recipe, *, device: str = "cpu", precision: Precision = "fp32") -> OurStep:
    """The first batch of the recipe, on the device, and everything that trains on it.

    Accelerate has one state per process, so that steps made before with another precision or on
    another device cannot be taken any more.
    """
    AcceleratorState._reset_state(reset_partial_state=True)
    gc.collect()
    accelerator = Accelerator(
        cpu=device == "cpu", mixed_precision="bf16" if precision == "bf16" else "no"
    )
    recipe = fit(replace(recipe, optim=replace(recipe.optim, accumulate=1)))
    batch = Steps(recipe, open_streams(recipe), Shard())[0].micro[0]
    groups = tuple(group.to(accelerator.device) for group in batch)
    return _with_model(recipe, accelerator, groups)


def _with_model(recipe: Recipe, accelerator: Accelerator, groups: tuple[Group, ...]) -> OurStep:
    job = Pretraining(recipe=recipe)
    model = job.prepare(None)
    training = Training(
        job=job,
        accelerator=accelerator,
        model=model,
        wrapped=accelerator.prepare_model(model).train(),
        optimizer=job.optimizer(),
        steps=Steps(recipe, (), Shard()),  # nothing is read any more
    )
    return OurStep(training=training, model=model, recipe=recipe, groups=groups)


def compile_blocks(model: torch.nn.Module) -> None:
    """Each block by itself, as torchtitan does it: equal blocks are compiled once."""
    for module in model.modules():
        if isinstance(module, Block | CrossBlock):
            module.compile()
