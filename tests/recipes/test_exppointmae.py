"""What is particular to ExpPoint-MAE: an encoder that stays bit-equal until a moment."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import recipes.finetune
from omnimask.commands.finetune import finetune
from omnimask.transfer.finetuning.recipe import Freeze, Validation
from recipes.exppointmae import modelnet, points


def test_the_encoder_is_bit_equal_until_the_moment(sample_data: Path, tmp_path: Path):
    debug = recipes.finetune.debug()
    recipe = replace(
        points(),
        encoder=debug.encoder,
        data=replace(points().data, root=str(sample_data)),
        task=replace(points().task, min_samples=1),
        optim=replace(points().optim, steps=3, warmup_steps=0),
        frozen=Freeze(until=2 / 3),
        validation=Validation(),
        run=replace(debug.run, checkpoint_every=1, keep_checkpoints=3),
    )
    finetune(recipe, tmp_path / "run")
    steps = sorted((tmp_path / "run/checkpoints").glob("step-*"))
    first, second, third = (load_file(step / "model.safetensors") for step in steps)
    encoder = [name for name in first if name.startswith("backbone.")]
    assert all(torch.equal(first[name], second[name]) for name in encoder)
    changed = [name for name in encoder if not torch.equal(second[name], third[name])]
    assert len(changed) > len(encoder) / 2
    assert any(not torch.equal(first[n], second[n]) for n in first if n.startswith("head."))


def test_240_of_300_epochs():
    assert modelnet().frozen.until == points().frozen.until == pytest.approx(0.8)
    assert modelnet().optim.steps == 300 * (9_843 // 32)
