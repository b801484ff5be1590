"""AdamW with the usual parameter groups, and the learning rate as a function of the step."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from omnimask.recipe.settings import Optim


def learning_rate(optim: Optim, step: int) -> float:
    """The rate of step 0, 1, ...: linear warm-up, then half a cosine from `lr` to `final_lr`."""
    if step < optim.warmup_steps:
        return optim.lr * (step + 1) / optim.warmup_steps
    share = (step - optim.warmup_steps) / max(optim.steps - optim.warmup_steps, 1)
    return _half_cosine(optim.lr, optim.final_lr, share)


def weight_decay(optim: Optim, step: int) -> float:
    """The decay of step 0, 1, ...: half a cosine over the whole run, without warm-up."""
    if optim.final_weight_decay is None:
        return optim.weight_decay
    return _half_cosine(optim.weight_decay, optim.final_weight_decay, step / optim.steps)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))


def build_optimizer(
    model: nn.Module, optim: Optim, scale_of: Callable[[str], float] | None = None
) -> torch.optim.AdamW:
    """Fused AdamW; matrices decay, vectors (biases, norms, scales, embeddings of one) do not.

    The weights of trained targets are groups of their own, with their own peak rate and betas.
    `scale_of` multiplies the rate of a parameter by its name (layer-wise decay).
    """
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    own = [(n, p) for n, p in trained if not is_of_target(n)]
    scales = {n: 1.0 if scale_of is None else scale_of(n) for n, _ in own}
    groups: list[dict[str, Any]] = []
    for scale in dict.fromkeys(scales.values()):
        alike = [(n, p) for n, p in own if scales[n] == scale]
        shared = {} if scale == 1.0 else {"lr_scale": scale}
        groups += [
            {"params": [p for n, p in alike if _decays(n, p)], "decays": True, **shared},
            {"params": [p for n, p in alike if not _decays(n, p)], "weight_decay": 0.0, **shared},
        ]
    of_targets = [p for n, p in trained if is_of_target(n)]
    if of_targets:
        scale = optim.targets.lr / optim.lr
        groups.append(
            {
                "params": of_targets,
                "weight_decay": 0.0,
                "betas": optim.targets.betas,
                "lr_scale": scale,
            }
        )
    return torch.optim.AdamW(groups, lr=optim.lr, betas=optim.betas, fused=True)


def is_of_target(name: str) -> bool:
    """Whether a parameter belongs to a trained target."""
    return name.startswith("targets.")


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim >= 2 and not name.endswith("prefix")


def set_schedules(optimizer: torch.optim.Optimizer, optim: Optim, step: int) -> float:
    """Sets every group's rate and decay for `step`; returns the model's rate."""
    rate = learning_rate(optim, step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
        if group.get("decays"):
            group["weight_decay"] = weight_decay(optim, step)
    return rate


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
