"""Objectives: which target a decoder predicts, and the only place where losses are reduced."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.masking.plan import MaskPlan, flags_of
from omnimask.network.backbone import Encoded
from omnimask.objectives.late_targets import LateTarget
from omnimask.objectives.targets import Target, TrainedTarget
from omnimask.tokens.tokens import Layout


@runtime_checkable
class Loss(Protocol):
    """A function, or a frozen record with fields, `(predicted (r n p), truth (r n t)) -> (r n)`,
    in fp32.
    """

    def __call__(self, predicted: Tensor, truth: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """Asks `decoder` for `target` of `modality`'s tokens and compares by `loss`.

    `where`: at the tokens that were hidden, at those that were visible, or at all; the masker must
    put the tokens it asks about into the plan's predicted ids. `weight` multiplies the mean loss.
    """

    name: str
    modality: str
    target: Target | TrainedTarget | LateTarget
    loss: Loss
    decoder: str = "main"
    where: Literal["hidden", "visible", "all"] = "hidden"
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight >= 0.0:
            raise RecipeError(f"objective {self.name}: weight must be >= 0, got {self.weight}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossSum:
    """The sum of an objective's per-token losses and the number of tokens in it."""

    total: Float[Tensor, ""]
    count: Float[Tensor, ""]

    def __add__(self, other: "LossSum") -> "LossSum":
        return LossSum(total=self.total + other.total, count=self.count + other.count)


def count_tokens(objective: Objective, encoded: Encoded) -> Bool[Tensor, "r n_predict"]:
    """Which predicted tokens the objective's loss counts: those of its modality that its `where`
    takes in and whose target is known. Needs neither a teacher nor the encoder's output.
    """
    taken = taken_tokens(objective, encoded.layout, encoded.plan)
    target = objective.target
    if isinstance(target, LateTarget):
        return taken & target.known(encoded)
    known = target.known(encoded.view.tokens[objective.modality])
    return taken & at_predicted(known, objective.modality, encoded)


def taken_tokens(
    objective: Objective, layout: Layout, plan: MaskPlan
) -> Bool[Tensor, "r n_predict"]:
    """The predicted tokens of the objective's modality that its `where` takes in."""
    span = layout.span(objective.modality)
    found = (plan.predict_ids >= span.start) & (plan.predict_ids < span.stop) & plan.predict_ok
    if objective.where == "all":
        return found
    shown = flags_of(plan.visible_ids, plan.visible_ok, layout.num_tokens)
    visible = shown.gather(1, plan.predict_ids)
    return found & (visible if objective.where == "visible" else ~visible)


def at_predicted(values: Tensor, modality: str, encoded: Encoded) -> Tensor:
    """What one modality's tokens have, (b n ...), at the plan's predicted ids: (r n_predict ...).

    At ids of other modalities it is that of some token of this one.
    """
    span, plan = encoded.layout.span(modality), encoded.plan
    ids = (plan.predict_ids - span.start).clamp(0, len(span) - 1)
    samples = torch.arange(ids.shape[0], device=ids.device)[:, None] // plan.copies
    return values[samples, ids]


def token_losses(
    objective: Objective,
    predicted: Float[Tensor, "r n_predict p"],
    truth: Float[Tensor, "r n_predict t"],
    counted: Bool[Tensor, "r n_predict"],
) -> Float[Tensor, "r n_predict"]:
    """The loss at every predicted token in fp32, zero where it is not counted."""
    with torch.autocast(predicted.device.type, enabled=False):
        losses = objective.loss(predicted.float(), truth.float())
    return torch.where(counted, losses, 0.0)


def add_sum(sums: dict[str, LossSum], name: str, part: LossSum) -> None:
    """Adds to what `sums` has under this name."""
    sums[name] = sums[name] + part if name in sums else part


def total_loss(
    sums: Mapping[str, LossSum], counts: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Float[Tensor, ""]:
    """Σ weight · sum / count; `counts` are those of the whole step, over all ranks and batches.

    An objective with nothing to predict adds zero: its sum is zero and the divisor at least one.
    What `weights` does not name (a codebook's own loss) has weight 1.
    """
    terms = [
        weights.get(name, 1.0) * part.total / counts[name].clamp_min(1.0)
        for name, part in sums.items()
    ]
    return torch.stack(terms).sum()
