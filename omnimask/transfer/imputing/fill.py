"""Whole groups under a mask of their recipe, with what the model predicts in its places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.masking.plan import Masker, MaskPlan, flags_of
from omnimask.objectives.objective import Objective
from omnimask.objectives.targets import Restoring
from omnimask.tokens.tokens import Span, Tokens, View
from omnimask.training.step import MaskedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """One modality of a group under one mask: which tokens were shown, and all of their values.

    `restored` names the objectives whose predictions are in the values; where there is none, the
    hidden tokens are zero and a picture would show nothing.
    """

    visible: Bool[Tensor, "b n"]
    values: Float[Tensor, "b n v"]
    restored: tuple[str, ...]


@torch.no_grad()
def fill(model: MaskedModel, view: View, masker: Masker | None = None) -> dict[str, Filled]:
    """Predicts the first copy of the first mask, and puts predictions in their places. `masker`:
    None is the recipe's.

    Objectives of one modality apply in the recipe's order, each to the values that the former
    left. A hidden token that nothing restores has zeros.
    """
    masker = masker or model.recipe.masker
    plan = masker(view.layout, view.group.rng.child("mask"), view.hints, 1.0)[0]
    (encoded,) = model.encode([view], [[plan]])
    predictions = model.predictions(encoded)
    first = plan.first_copy()
    filled = {}
    for span in view.layout.spans:
        objectives = [o for o in model.recipe.objectives if o.modality == span.modality]
        tokens = view.tokens[span.modality]
        values, restored = _restore(objectives, predictions, tokens, span=span, plan=plan)
        visible = first.is_visible(view.layout.num_tokens)
        visible = visible[:, span.start : span.stop]
        filled[span.modality] = Filled(
            visible=visible,
            values=torch.where(visible[:, :, None], tokens.values.float(), values),
            restored=restored,
        )
    return filled


def _restore(
    objectives: Sequence[Objective],
    predictions: Mapping[str, Tensor],
    tokens: Tokens,
    *,
    span: Span,
    plan: MaskPlan,
) -> tuple[Float[Tensor, "b n v"], tuple[str, ...]]:
    """Token values after every objective, zero where none restored, and which restored."""
    values = tokens.values.float()
    covered = torch.zeros_like(tokens.valid)
    names = []
    for objective in objectives:
        predicted, predict = _at_tokens(predictions[objective.name][:: plan.copies], span, plan)
        target = objective.target
        if not isinstance(target, Restoring):
            continue
        restored = target.restore(predicted, replace(tokens, values=values))
        if restored is not None:
            names.append(objective.name)
            values = torch.where(predict[:, :, None], restored.float(), values)
            covered |= predict
    return torch.where(covered[:, :, None], values, 0.0), tuple(names)


def _at_tokens(
    predicted: Float[Tensor, "b k p"], span: Span, plan: MaskPlan
) -> tuple[Float[Tensor, "b n p"], Bool[Tensor, "b n"]]:
    """Predictions at the plan's ids as predictions at the span's tokens, and where they are."""
    first = plan.first_copy()
    inside = (first.predict_ids >= span.start) & (first.predict_ids < span.stop) & first.predict_ok
    ids = torch.where(inside, first.predict_ids - span.start, 0)
    predict = flags_of(ids, inside, len(span))
    everywhere = predicted.new_zeros(len(ids), len(span), predicted.shape[2], dtype=torch.float32)
    contents = torch.where(inside[:, :, None], predicted.float(), 0.0)
    return everywhere.scatter_add_(1, ids[:, :, None].expand_as(contents), contents), predict
