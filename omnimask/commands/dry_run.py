"""`omnimask pretrain --dry-run`: what a step costs, or the recipe with all that it leaves open."""

import json
import time

from omnimask.data.streams import Shard, Steps, open_streams
from omnimask.foundation.records import dump
from omnimask.foundation.reloading import check_reloadable
from omnimask.recipe.batch_share import check_share
from omnimask.recipe.recipe import Recipe
from omnimask.training.cost import StepCost, measure_cost
from omnimask.training.fitting import fit
from omnimask.training.forecast import DEVICES, forecast, forecast_lines
from omnimask.training.step import build_model
from omnimask.transfer.warm_start import open_starts


def resolved(recipe: Recipe) -> Recipe:
    """With the statistics of its starts and of its files, as training would have it.

    Refuses what `pretrain` would refuse.
    """
    check_reloadable(recipe)
    recipe = fit(open_starts(recipe).fill(recipe))
    check_reloadable(recipe)
    return recipe


def recipe_text(recipe: Recipe) -> str:
    """The resolved recipe as `recipe.json` in a run folder has it."""
    return json.dumps(dump(resolved(recipe)), indent=1)


def step_text(recipe: Recipe) -> str:
    """A table of a few lines: reads the first step's samples and counts; trains nothing."""
    recipe = resolved(recipe)
    readers = open_streams(recipe)
    batch = Steps(recipe, readers, Shard())[0]
    cost = measure_cost(build_model(recipe), batch.micro[0])
    sizes = {reader.stream.name: len(reader) for reader in readers}
    return _table(cost, sizes, recipe)


def forecast_text(recipe: Recipe, *, devices: int, device: str, sharded: bool) -> str:
    """What the run would need on so many devices; reads and encodes one device's first
    micro-batch here. RecipeError where they cannot share the batch.
    """
    check_share(recipe, devices)
    recipe = resolved(recipe)
    readers = open_streams(recipe)
    steps = Steps(recipe, readers, Shard(world=devices))
    started = time.process_time()
    batch = steps[0]
    read_s = (time.process_time() - started) / len(batch.micro)
    cost = measure_cost(build_model(recipe), batch.micro[0])
    found = forecast(
        recipe, cost, world=devices, device=DEVICES[device], sharded=sharded, read_s=read_s
    )
    samples = sum(len(group) for group in batch.micro[0])
    lines = forecast_lines(
        recipe, found, world=devices, name=device, samples=samples, sharded=sharded
    )
    return "\n".join(lines)


def _table(cost: StepCost, sizes: dict[str, int], recipe: Recipe) -> str:
    head = f"{'stream':16}{'files':>8}{'samples':>9}{'tokens':>9}{'visible':>9}{'predicted':>11}"
    rows = [
        f"{part.stream:16}{sizes[part.stream]:8}{part.samples:9}{part.valid:9}{part.visible:9}"
        f"{part.predicted:11}"
        for part in cost.tokens
    ]
    accumulate = recipe.optim.accumulate
    return "\n".join(
        [
            f"One step of one process ({accumulate} micro-batch{'es' * (accumulate > 1)}):",
            head,
            *rows,
            f"parameters   {cost.trained_parameters / 1e6:.2f} M trained, "
            f"{cost.teacher_parameters / 1e6:.2f} M in the teacher",
            f"FLOPs        {accumulate * cost.flops / 1e9:.2f} G per step, "
            f"{recipe.optim.steps * accumulate * cost.flops / 1e12:.2f} T for "
            f"{recipe.optim.steps} steps",
            f"memory       {cost.state_bytes / 2**20:.0f} MiB for weights, gradients and moments + "
            f"{cost.activation_bytes / 2**20:.0f} MiB for activations (fp32)",
        ]
    )
