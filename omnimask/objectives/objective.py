"""Objectives: which target a decoder predicts, and the only place where losses are reduced."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.masking.plan import MaskPlan
from omnimask.objectives.late_targets import Decoded, LateTarget
from omnimask.objectives.targets import Target, TrainedTarget, Truth
from omnimask.tokens.tokens import Layout, Span


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


def find_span(layout: Layout, modality: str) -> Span | None:
    return next((span for span in layout.spans if span.modality == modality), None)


def _was_visible(plan: MaskPlan, num_tokens: int) -> Bool[Tensor, "r n_predict"]:
    shown = plan.visible_ids.new_zeros(len(plan.num_visible), num_tokens)
    shown.scatter_add_(1, plan.visible_ids, plan.visible_ok.to(shown.dtype))
    return shown.gather(1, plan.predict_ids) > 0


def _rows_of(values: Tensor, ids: Tensor, copies: int) -> Tensor:
    """(b n ...) at ids (b * copies, k) -> (b * copies, k, ...)."""
    samples = torch.arange(ids.shape[0], device=ids.device)[:, None] // copies
    return values[samples, ids]


def asked(objective: Objective, *, layout: Layout, plan: MaskPlan) -> Bool[Tensor, "r n_predict"]:
    """Which predicted tokens are the objective's, by their modality and by its `where`."""
    span = find_span(layout, objective.modality)
    assert span is not None, "model.py evaluates an objective only on groups with its modality"
    found = (plan.predict_ids >= span.start) & (plan.predict_ids < span.stop) & plan.predict_ok
    if objective.where == "all":
        return found
    visible = _was_visible(plan, layout.valid.shape[1])
    return found & (visible if objective.where == "visible" else ~visible)


def align(objective: Objective, truth: Truth, *, layout: Layout, plan: MaskPlan) -> Truth:
    """The truth at the predicted tokens, (r n_predict t); known where the objective counts it."""
    span = find_span(layout, objective.modality)
    assert span is not None
    ids = (plan.predict_ids - span.start).clamp(0, len(span) - 1)
    known = asked(objective, layout=layout, plan=plan) & _rows_of(truth.known, ids, plan.copies)
    return Truth(values=_rows_of(truth.values, ids, plan.copies), known=known)


def align_late(
    objective: Objective, decoded: Decoded, *, layout: Layout, counting: bool = False
) -> Truth:
    """The same for a late target; with `counting` the values are left out."""
    target = objective.target
    assert isinstance(target, LateTarget)
    known = asked(objective, layout=layout, plan=decoded.plan) & target.known(decoded)
    values = known[:, :, None].float() if counting else target.values(decoded)
    return Truth(values=values.detach(), known=known)


def counted_truths(
    objective: Objective, truth: Truth, *, layout: Layout, plan: MaskPlan
) -> Float[Tensor, "k t"]:
    """The truth at the tokens that `evaluate_objective` counts, for baselines outside training.

    Their number depends on the values, so this waits for the device.
    """
    aligned = align(objective, truth, layout=layout, plan=plan)
    return aligned.values[aligned.known].float()


def token_losses(
    objective: Objective, predicted: Float[Tensor, "r n_predict p"], aligned: Truth
) -> Float[Tensor, "r n_predict"]:
    """The loss at every predicted token, zero where the objective does not count it."""
    with torch.autocast(predicted.device.type, enabled=False):
        losses = objective.loss(predicted.float(), aligned.values.float())
    return torch.where(aligned.known, losses, 0.0)


def evaluate_objective(
    objective: Objective,
    predicted: Float[Tensor, "r n_predict p"],
    truth: Truth,
    *,
    layout: Layout,
    plan: MaskPlan,
) -> LossSum:
    """Sum and count over the predicted tokens of the objective's modality where truth is known."""
    aligned = align(objective, truth, layout=layout, plan=plan)
    return sum_losses(token_losses(objective, predicted, aligned), aligned.known)


def sum_losses(
    losses: Float[Tensor, "r n_predict"], counted: Bool[Tensor, "r n_predict"]
) -> LossSum:
    return LossSum(total=losses.sum(), count=counted.sum(dtype=torch.float32))


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
