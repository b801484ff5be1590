"""How large each stream's gradient of the shared blocks is, alone, on the same steps.

    python tools/gradient_norms.py recipes.world:quickstart --data data/world
    python tools/gradient_norms.py recipes.world:quickstart --data data/world --run runs/world

Where senses differ by much, clipping and AdamW's common scale leave little of the smaller ones'.
With `--run` the weights are those of its last checkpoint, otherwise a fresh model's.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from omnimask.data.streams import Shard, Steps, open_streams
from omnimask.recipe.loading import load_named_recipe
from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import last_checkpoint, load_checkpoint
from omnimask.training.fitting import fit_modalities
from omnimask.training.step import MaskedModel, build_model


def model_of(recipe: Recipe, run: Path | None) -> MaskedModel:
    if run is None:
        fitted = fit_modalities(recipe.modalities, recipe.data)
        return build_model(replace(recipe, modalities=fitted))
    checkpoint = load_checkpoint(last_checkpoint(run))
    model = build_model(checkpoint.recipe)
    model.load_state_dict(checkpoint.weights)
    return model


def gradient_norms(model: MaskedModel, recipe: Recipe, *, steps: int) -> Mapping[str, float]:
    """By stream, the norm of the gradient of the encoder's blocks, mean over some steps."""
    weights = {objective.name: objective.weight for objective in recipe.objectives}
    batches = Steps(recipe, open_streams(recipe), Shard())
    blocks = list(model.backbone.encoder.blocks.parameters())
    found: dict[str, float] = {}
    for step in range(steps):
        for group in batches[step].micro[0]:
            model.zero_grad()
            outcome = model([group])
            outcome.loss({name: weights[name] for name in outcome.sums}).backward()
            parts = [p.grad.norm() for p in blocks if p.grad is not None]
            norm = torch.stack(parts).norm().item()
            found[group.stream] = found.get(group.stream, 0.0) + norm / steps
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    recipe = load_named_recipe(options.recipe)
    recipe = replace(recipe, data=replace(recipe.data, root=str(options.data)))
    model = model_of(recipe, options.run)
    recipe = replace(recipe, modalities=tuple(model.recipe.modalities))
    for stream, norm in gradient_norms(model, recipe, steps=options.steps).items():
        print(f"{stream:16} {norm:10.3f}")


if __name__ == "__main__":
    main()
