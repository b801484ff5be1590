"""What may change where a run goes on: how its batch is made up, and upwards how long it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import load
from omnimask.recipe.batch_share import check_batch, samples_per_step
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.recipe.settings import Optim
from omnimask.training.checkpoint import Checkpoint, read_saved
from omnimask.training.optimisation import learning_rate


def check_going_on(out: Path, recipe: RunRecipe, resumed: Checkpoint[Any] | None) -> None:
    """RecipeError where `recipe` has other samples in a step than the run in `out` had so far, or
    fewer steps.
    """
    path = out / "recipe.json"
    if resumed is not None:
        check_batch(recipe, _trained(resumed), source=str(out))
        _check_steps(out, recipe.optim.steps, resumed.recipe.optim.steps)
    elif path.exists():
        begun = load(read_saved(path), str(path))
        check_batch(recipe, samples_per_step(begun), source=str(out))
        _check_steps(out, recipe.optim.steps, begun.optim.steps)


def changed_optim(saved: Optim, stated: Optim) -> Optim:
    """A checkpoint's, with the number of steps and the micro-batches that are stated now."""
    return replace(saved, steps=stated.steps, accumulate=stated.accumulate)


def lengthening(recipe: RunRecipe, resumed: Checkpoint[Any] | None) -> tuple[str, ...]:
    """For people: what becomes of the schedule of a run that is made longer; () for another."""
    if resumed is None or resumed.recipe.optim.steps == recipe.optim.steps:
        return ()
    before, step = resumed.recipe.optim, int(resumed.state["step"])
    now, last = replace(before, steps=recipe.optim.steps), before.steps - 1
    then = learning_rate(before, min(step, last))
    return (
        f"optim.steps is raised from {before.steps} to {now.steps}. From step {step} on learning "
        f"rate, weight decay, teacher and masks are those of a run of {now.steps} steps: the "
        f"learning rate goes from {then:.3g} to {learning_rate(now, step):.3g}",
    )


def _trained(resumed: Checkpoint[Any]) -> dict[str, int]:
    """The samples of a step so far. Before 0.2 checkpoints did not say, and batch_size was that of
    one process.
    """
    state = resumed.state
    if "samples_per_step" in state:
        return dict(state["samples_per_step"])
    return {name: seen // state["step"] for name, seen in state["samples_seen"].items()}


def _check_steps(out: Path, steps: int, before: int) -> None:
    if steps < before:
        raise RecipeError(
            f"{out} is a run of {before} steps; optim.steps may be raised, not lowered to {steps}: "
            f"write --set optim.steps={before} or more"
        )
