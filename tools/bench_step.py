"""Compares fast paths with plain ones, interleaved in one process: the ratios behind docs/speed.md.

    python tools/bench_step.py --rounds 7 > bench.json

Every comparison runs A and B in turn, `rounds` times after one warm-up, and gives the median of
B's time over A's with the smallest and largest of the rounds. Needs `data/sample`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnimask.data.streams import Shard, Steps, open_streams
from omnimask.network.blocks import attend_plainly
from omnimask.tokens.tokens import Group
from omnimask.training.fitting import fit
from omnimask.training.optimisation import build_optimizer
from omnimask.training.step import MaskedModel, build_model
from recipes.omni import quickstart
from tools.results_table import measured


def compare(first: Callable[[], object], second: Callable[[], object], rounds: int) -> dict:
    """Time of `second` over time of `first`: median, smallest, largest of the rounds."""
    ratios, seconds = [], []
    for number in range(rounds + 1):
        times = []
        for run in (first, second):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        if number:
            ratios.append(times[1] / times[0])
            seconds.append(times)
    return {
        "ratio": round(statistics.median(ratios), 3),
        "from": round(min(ratios), 3),
        "to": round(max(ratios), 3),
        "seconds": [round(statistics.median(column), 4) for column in zip(*seconds)],
    }


def training_step(
    model: MaskedModel, optimizer: torch.optim.Optimizer, groups: list[Group]
) -> None:
    optimizer.zero_grad(set_to_none=True)
    weights = {objective.name: objective.weight for objective in model.recipe.objectives}
    model(groups).loss(weights).backward()
    optimizer.step()


def mixed_step(rounds: int) -> dict:
    """A: every stream in a step of its own; B: all of them in one mixed step."""
    recipe = fit(quickstart())
    groups = list(Steps(recipe, open_streams(recipe), Shard())[0].micro[0])
    model = build_model(recipe).train()
    optimizer = build_optimizer(model, recipe.optim)

    def one_by_one() -> None:
        for group in groups:
            training_step(model, optimizer, [group])

    return compare(one_by_one, lambda: training_step(model, optimizer, groups), rounds)


def fused_adamw(rounds: int) -> dict:
    """A: torch's default AdamW; B: the fused one, on the parameters of a ViT-S."""
    recipe = quickstart()
    model = nn.ModuleList(nn.Linear(384, 1536) for _ in range(36))
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    fused = build_optimizer(model, recipe.optim)
    plain = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return compare(plain.step, fused.step, rounds)


def embed_visible_only(rounds: int) -> dict:
    """A: embeds all 1568 tubelets and keeps a tenth; B: keeps a tenth and embeds that."""
    values, ids = torch.randn(4 * 1568, 1536), torch.arange(0, 4 * 1568, 10)
    embed = nn.Linear(1536, 384)

    def all_of_them() -> None:
        embed(values).index_select(0, ids).sum().backward()

    def visible() -> None:
        embed(values.index_select(0, ids)).sum().backward()

    return compare(all_of_them, visible, rounds)


def attention(rounds: int, dtype: torch.dtype, tokens: int) -> dict:
    """A: torch's SDPA; B: softmax written out, forward and backward."""
    q, k, v = (torch.randn(8, 6, tokens, 32, dtype=dtype, requires_grad=True) for _ in range(3))

    def run(attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        attend(q, k, v).float().sum().backward()

    sdpa = nn.functional.scaled_dot_product_attention
    return compare(lambda: run(sdpa), lambda: run(attend_plainly), rounds)


def checkpointed_blocks(rounds: int) -> dict:
    """A: activations kept; B: recomputed in the backward pass (slower, for memory)."""
    runs = []
    for checkpoint in (False, True):
        recipe = quickstart()
        encoder = replace(recipe.encoder, checkpoint_blocks=checkpoint)
        recipe = fit(replace(recipe, encoder=encoder))
        groups = list(Steps(recipe, open_streams(recipe), Shard())[0].micro[0])
        model = build_model(recipe).train()
        runs.append((model, build_optimizer(model, recipe.optim), groups))
    return compare(lambda: training_step(*runs[0]), lambda: training_step(*runs[1]), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    results = {
        **measured(),
        "mixed step over the sum of its single-stream steps": mixed_step(rounds),
        "fused AdamW over the default": fused_adamw(rounds),
        "embedding visible tokens over embedding all": embed_visible_only(rounds),
        "plain attention over SDPA, fp32, 64 tokens": attention(rounds, torch.float32, 64),
        "plain attention over SDPA, fp32, 512 tokens": attention(rounds, torch.float32, 512),
        "plain attention over SDPA, bf16, 64 tokens": attention(rounds, torch.bfloat16, 64),
        "recomputed activations over kept ones": checkpointed_blocks(rounds),
    }
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
