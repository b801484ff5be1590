"""Single decisions of the core beside what they replaced: the first table of docs/speed.md."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from omnimask.network.blocks import attend_plainly
from omnimask.recipe.settings import Optim
from omnimask.training.optimisation import build_optimizer
from recipes.omni import quickstart
from tools.benchmark.made_data import on_made_data
from tools.benchmark.step import our_step
from tools.benchmark.timing import compare


def fused_adamw(rounds: int) -> dict:
    """A: torch's default AdamW; B: the fused one, on the parameters of a ViT-S."""
    model = nn.ModuleList(nn.Linear(384, 1536) for _ in range(36))
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    fused = build_optimizer(model, Optim(steps=1))
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
    recipe = on_made_data(quickstart())
    kept = our_step(recipe)
    again = our_step(replace(recipe, encoder=replace(recipe.encoder, checkpoint_blocks=True)))
    return compare(kept, again, rounds)


FAST_PATHS: Mapping[str, Callable[[int], dict]] = {
    "fused AdamW over the default": fused_adamw,
    "embedding visible tokens over embedding all": embed_visible_only,
    "plain attention over SDPA, fp32, 64 tokens": lambda n: attention(n, torch.float32, 64),
    "plain attention over SDPA, fp32, 512 tokens": lambda n: attention(n, torch.float32, 512),
    "plain attention over SDPA, bf16, 64 tokens": lambda n: attention(n, torch.bfloat16, 64),
    "recomputed activations over kept ones": checkpointed_blocks,
}
