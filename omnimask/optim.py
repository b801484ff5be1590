"""AdamW with the usual parameter groups, and the learning rate as a function of the step."""

import math

import torch
from torch import nn

from omnimask.recipe import Optim


def learning_rate(optim: Optim, step: int) -> float:
    """The rate of step 0, 1, ...: linear warm-up, then half a cosine from `lr` to `final_lr`."""
    if step < optim.warmup_steps:
        return optim.lr * (step + 1) / optim.warmup_steps
    share = (step - optim.warmup_steps) / max(optim.steps - optim.warmup_steps, 1)
    return optim.final_lr + (optim.lr - optim.final_lr) * 0.5 * (1.0 + math.cos(math.pi * share))


def build_optimizer(model: nn.Module, optim: Optim) -> torch.optim.AdamW:
    """Fused AdamW; matrices decay, vectors (biases, norms, scales, embeddings of one) do not."""
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in trained if p.ndim >= 2 and not _is_token(name)]
    others = [p for name, p in trained if p.ndim < 2 or _is_token(name)]
    groups = [
        {"params": matrices, "weight_decay": optim.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=optim.lr, betas=optim.betas, fused=True)


def _is_token(name: str) -> bool:
    return name.endswith("prefix")


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """The optimizer's state by parameter name, such as "backbone.encoder.norm.weight/exp_avg"."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]
) -> None:
    """The inverse of `optimizer_tensors`."""
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        parameter_name, _, key = name.rpartition("/")
        parameter = parameters[parameter_name]
        optimizer.state[parameter][key] = value.to(parameter.device)
