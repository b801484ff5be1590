"""One optimisation step on all micro-batches and processes: forward, counts, backward, clipping,
AdamW; how AdamW is built, and its learning rate as a function of the step.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from omnimask.data.streams import StepBatch, Steps
from omnimask.objectives.objective import Outcome
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.recipe.settings import CosineSchedule, Optim, StepSchedule
from omnimask.training.job import Job, Learner
from omnimask.training.sharding import like
from omnimask.training.step import Hints


@dataclass(kw_only=True, slots=True)
class Training:
    """A run in progress: what a step changes, and what it needs."""

    job: Job
    accelerator: Accelerator
    model: Learner  # its own parameters; `wrapped` adds DDP around the same ones
    wrapped: nn.Module
    optimizer: torch.optim.Optimizer
    steps: Steps
    sharded: bool = False  # each process has a part of the weights alone

    @property
    def recipe(self) -> RunRecipe:
        return self.job.recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """One step's results, as device tensors where they are of the device.

    `outcome` is that of all micro-batches, `skipped` 1.0 if something was not finite.
    """

    step: int
    outcome: Outcome
    grad_norm: Tensor
    skipped: Tensor
    learning_rate: float


def step_once(training: Training, batch: StepBatch, *, watch: bool = False) -> StepReport:
    """One optimisation step on all micro-batches of `batch`; never waits for the device, unless
    `watch` asks for the health of the features too.
    """
    model, optim = training.model, training.recipe.optim
    progress = batch.step / optim.steps
    rate = set_schedules(training.optimizer, optim, batch.step)
    training.optimizer.zero_grad(set_to_none=True)
    weights = {objective.name: objective.weight for objective in training.recipe.objectives}
    counts, hints = _count_ahead(training, batch, progress)
    whole = Outcome()
    for number, read in enumerate(batch.micro):
        groups = [group.to(training.accelerator.device, True) for group in read]
        last = number + 1 == len(batch.micro)
        # Gradients travel between ranks only with the last micro-batch.
        with nullcontext() if last else training.accelerator.no_sync(training.wrapped):
            with training.accelerator.autocast() if training.sharded else nullcontext():
                outcome: Outcome = training.wrapped(groups, progress, watch and last, hints[number])
            if not counts:
                counts = _over_ranks(training, outcome.counts)
            loss = outcome.loss(weights, counts)
            # DDP averages gradients over the ranks; the loss is a mean over all their tokens.
            training.accelerator.backward(loss * training.accelerator.num_processes)
        whole.add_batch(outcome)
    model.before_clip(progress)
    norm = _clip(training, optim.clip_norm)
    skipped = _apply(training, norm, whole)
    model.after_step((batch.step + 1) / optim.steps)
    return StepReport(
        step=batch.step, outcome=whole, grad_norm=norm, skipped=skipped, learning_rate=rate
    )


def _count_ahead(
    training: Training, batch: StepBatch, progress: float
) -> tuple[dict[str, Tensor], list[Sequence[Hints]]]:
    """The counts of the whole accumulation window, needed before its first backward pass, and by
    micro-batch the hints that the masks were drawn from.

    Masks are a pure function of the samples and of hints, so they can be drawn twice. With one
    micro-batch the forward pass itself gives both, and there is nothing to return.
    """
    if len(batch.micro) == 1:
        return {}, [()]
    counted: dict[str, Tensor] = {}
    hints: list[Sequence[Hints]] = []
    for read in batch.micro:  # the device holds one micro-batch alone
        groups = [group.to(training.accelerator.device, True) for group in read]
        with training.accelerator.autocast():
            hints.append(training.model.hints(groups))
        for name, count in training.model.counts(groups, progress, hints[-1]).items():
            counted[name] = counted[name] + count if name in counted else count
    return _over_ranks(training, counted), hints


def _over_ranks(training: Training, counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if training.accelerator.num_processes == 1:
        return dict(counts)
    stacked = torch.stack(list(counts.values()))
    torch.distributed.all_reduce(stacked)
    return dict(zip(counts, stacked.unbind(), strict=True))


def _clip(training: Training, clip_norm: float | None) -> Tensor:
    """The model's gradient norm; the weights of trained targets are clipped apart."""
    parts: dict[bool, list[Tensor]] = {False: [], True: []}
    for name, parameter in training.model.named_parameters():
        if parameter.grad is not None:
            parts[is_of_target(name)].append(parameter)
    norms = []
    for part in parts.values():
        if part:
            grads = [parameter.grad for parameter in part if parameter.grad is not None]
            norm: Any = torch.nn.utils.get_total_norm(grads)
            norms.append(norm.full_tensor() if training.sharded else norm)
            if clip_norm is not None:
                torch.nn.utils.clip_grads_with_norm_(part, clip_norm, norms[-1])
    norm, *of_targets = norms
    for other in of_targets:
        norm = torch.where(torch.isfinite(other), norm, other)
    return norm


def _apply(training: Training, norm: Tensor, outcome: Outcome) -> Tensor:
    """Steps the optimizer unless something is not finite on any rank; 1.0 if it was skipped.

    Fused AdamW takes the decision as a tensor, so that the host does not wait for it.
    """
    parts = torch.stack([norm, *(part.total for part in outcome.sums.values())])
    skipped = (~torch.isfinite(parts).all()).float()
    if training.accelerator.num_processes > 1:
        torch.distributed.all_reduce(skipped, op=torch.distributed.ReduceOp.MAX)
    vars(training.optimizer)["found_inf"] = skipped
    training.optimizer.step()
    return skipped


def set_schedules(optimizer: torch.optim.Optimizer, optim: Optim, step: int) -> float:
    """Sets every group's rate and decay for `step`; returns the model's rate."""
    rate = learning_rate(optim, step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
        if group.get("decays"):
            group["weight_decay"] = weight_decay(optim, step)
    return rate


def learning_rate(optim: Optim, step: int) -> float:
    """The rate of step 0, 1, ...: linear warm-up, then as the schedule says."""
    if step < optim.warmup_steps:
        return optim.lr * (step + 1) / optim.warmup_steps
    if isinstance(optim.schedule, StepSchedule):
        passed = sum(step >= share * optim.steps for share in optim.schedule.at)
        return optim.lr * optim.schedule.factor**passed
    end = optim.steps * optim.schedule.horizon
    share = (step - optim.warmup_steps) / max(end - optim.warmup_steps, 1)
    return _half_cosine(optim.lr, optim.final_lr, share)


def weight_decay(optim: Optim, step: int) -> float:
    """The decay of step 0, 1, ...: half a cosine over the schedule's horizon, without warm-up."""
    if optim.final_weight_decay is None:
        return optim.weight_decay
    schedule = optim.schedule
    end = optim.steps * (schedule.horizon if isinstance(schedule, CosineSchedule) else 1.0)
    return _half_cosine(optim.weight_decay, optim.final_weight_decay, step / end)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))


def build_optimizer(
    model: nn.Module, optim: Optim, scale_of: Callable[[str], float] | None = None
) -> torch.optim.AdamW:
    """Fused AdamW; matrices decay, vectors (biases, norms, scales, embeddings of one) do not.

    The weights of trained targets are a group apart, with another peak rate and other betas.
    `scale_of` multiplies the rate of a parameter by its name (layer-wise decay).
    """
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    of_model = [(n, p) for n, p in trained if not is_of_target(n)]
    scales = {n: 1.0 if scale_of is None else scale_of(n) for n, _ in of_model}
    groups: list[dict[str, Any]] = []
    for scale in dict.fromkeys(scales.values()):
        alike = [(n, p) for n, p in of_model if scales[n] == scale]
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


def optimizer_tensors(
    model: nn.Module | Learner, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """The optimizer's state by parameter name, such as "backbone.encoder.norm.weight/exp_avg"."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer_tensors(
    model: nn.Module | Learner, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]
) -> None:
    """The inverse of `optimizer_tensors`."""
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        parameter_name, _, key = name.rpartition("/")
        parameter = parameters[parameter_name]
        # A number of steps is whole on every process.
        state = like(value, parameter) if value.shape == parameter.shape else value
        optimizer.state[parameter][key] = state.to(parameter.device)
