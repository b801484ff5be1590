"""What a run folder holds, and runs that die."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from omnimask.commands.pretrain import train
from omnimask.recipe.recipe import Recipe
from omnimask.training import loop
from omnimask.training.checkpoint import last_checkpoint


def lines(run: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def losses(run: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in lines(run)}


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(last_checkpoint(run) / "model.safetensors")


def assert_same_weights(first: Path, second: Path) -> None:
    expected, got = weights(first), weights(second)
    assert expected.keys() == got.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, got[name]), name


def known(name: str, value: Tensor) -> Tensor:
    """Without the bias of keys: it moves no softmax, so that AdamW makes steps out of rounding."""
    if name.endswith(".qkv.bias"):
        query, _, content = value.chunk(3)
        return torch.cat([query, content])
    return value.chunk(2)[1] if name.endswith(".kv.bias") else value


class KilledError(Exception):
    pass


@contextmanager
def dies_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever trains in here dies without a word when `step` begins."""
    whole_step = loop.step_once

    def dying(training: Any, batch: Any, *, watch: bool) -> Any:
        if batch.step == step:
            raise KilledError
        return whole_step(training, batch, watch=watch)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step_once", dying)
        with pytest.raises(KilledError):
            yield


def train_until(recipe: Recipe, run: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with dies_at(step, monkeypatch):
        train(recipe, run)
