"""The contract of a recipe: it trains, can be loaded again, and does the same twice."""

from dataclasses import replace
from pathlib import Path

import torch

from omnimask.foundation.json_lines import read_lines
from omnimask.foundation.reloading import check_reloadable, trust_parts
from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import last_checkpoint, load_checkpoint
from omnimask.training.loop import carry_out
from omnimask.training.pretraining import Pretraining
from omnimask.transfer.warm_start import open_starts


def check_recipe(recipe: Recipe, folder: Path, *, steps: int = 4) -> None:
    """Trains a few steps twice below `folder`, on its own data, in this process."""
    trust_parts(recipe)
    check_reloadable(recipe)
    short = replace(
        recipe,
        optim=replace(recipe.optim, steps=steps, warmup_steps=min(recipe.optim.warmup_steps, 1)),
        run=replace(recipe.run, num_workers=0, log_every=1, tracker="none", report=False),
    )
    weights = []
    for name in ("first", "second"):
        carry_out(Pretraining(recipe=short, starts=open_starts), folder / name)
        lines = read_lines(folder / name / "metrics.jsonl")
        assert [line["step"] for line in lines] == list(range(1, steps + 1))
        bad = [line["step"] for line in lines if line["skipped_in_a_row"]]
        assert not bad, f"the loss or a gradient is not finite at the steps {bad}"
        weights.append(load_checkpoint(last_checkpoint(folder / name)).weights)
    one, other = weights
    differ = [name for name, value in one.items() if not torch.equal(value, other[name])]
    assert not differ, f"two runs of one recipe differ in {differ}: draw random numbers from `rng`"
