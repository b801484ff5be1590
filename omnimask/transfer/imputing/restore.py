"""The hidden tokens of one sample, from its visible ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng, fold_key
from omnimask.masking.plan import MaskPlan
from omnimask.objectives.objective import Objective
from omnimask.objectives.targets import Restoring
from omnimask.tokens.tokens import Group, Raw, Tokens, View
from omnimask.training.step import MaskedModel

_NEIGHBOURS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """`values` of all tokens of one sample: visible ones as they were, hidden ones predicted.
    `objectives` name what predicted them; `notes` say what they needed besides.
    """

    values: Float[Tensor, "n v"]
    visible: Bool[Tensor, " n"]
    objectives: tuple[str, ...]
    notes: tuple[str, ...]


@torch.no_grad()
def restore_hidden(model: MaskedModel, name: str, raw: Raw, hidden: Bool[Tensor, " n"]) -> Restored:
    """Predicts the flagged tokens of the one sample in `raw`, in one pass, as in training.

    The values of hidden tokens are zeroed before anything is computed, so that no result depends on
    them. Where a target is normalised by statistics of the token itself (mean and deviation of a
    patch), which a really hidden token does not tell, those of its nearest visible tokens are
    taken, weighted by inverse distance. Coordinates of hidden tokens are always used.

    RecipeError where nothing or everything is hidden, or no objective restores hidden tokens.
    """
    device = next(model.parameters()).device
    key = torch.tensor([fold_key(0, "complete", name)])
    group = Group(stream="complete", raw={name: raw}, keys=key, names=(name,)).to(device)
    view = View.of(group, model.modalities)
    tokens = view.tokens[name]
    visible = tokens.valid & ~hidden.to(device)[None]
    _check_some(visible[0], tokens.valid[0], name)
    tokens = replace(tokens, values=torch.where(visible[:, :, None], tokens.values, 0.0))
    view = replace(view, tokens={name: tokens})
    objectives = [o for o in model.recipe.objectives if o.modality == name]
    visible_too = any(o.where != "hidden" for o in objectives)
    predict = tokens.scorable & (visible_too | ~visible)
    plan = _plan(visible, predict)
    (encoded,) = model.encode([view], [[plan]])
    predicted = model.predictions(encoded)
    placed = {o.name: _placed(predicted[o.name], plan, tokens.values.shape[1]) for o in objectives}
    return _restored(model, objectives, placed, tokens, visible)


def random_hidden(valid: Bool[Tensor, " n"], *, ratio: float, seed: int) -> Bool[Tensor, " n"]:
    """`ratio` of the valid tokens, rounded, at least one and not all where there are two."""
    chance = Rng(keys=torch.tensor([fold_key(seed, "hide")])).uniform(len(valid))[0]
    count = int(valid.sum())
    number = min(max(round(ratio * count), 1), max(count - 1, 1))
    order = chance.masked_fill(~valid.cpu(), 2.0).argsort()
    hidden = torch.zeros(len(valid), dtype=torch.bool)
    hidden[order[:number]] = True
    return hidden


def _check_some(visible: Bool[Tensor, " n"], valid: Bool[Tensor, " n"], name: str) -> None:
    if not bool(visible.any()):
        raise RecipeError(
            f"every token of the {name} is hidden, so that there is nothing to predict from (a "
            "token counts as hidden where any part of it is); hide less"
        )
    if bool((visible == valid).all()):
        raise RecipeError(f"nothing of the {name} is hidden; check the mask, the box or the times")


def _plan(visible: Bool[Tensor, "1 n"], predict: Bool[Tensor, "1 n"]) -> MaskPlan:
    return MaskPlan.from_flags(
        visible,
        predict,
        num_visible=(int(visible.sum()),),
        num_predict=(int(predict.sum()),),
    )


def _placed(
    predicted: Float[Tensor, "1 k p"], plan: MaskPlan, num_tokens: int
) -> Float[Tensor, "1 n p"]:
    placed = predicted.new_zeros(1, num_tokens, predicted.shape[2], dtype=torch.float32)
    ids = plan.predict_ids[:, :, None].expand(-1, -1, predicted.shape[2])
    return placed.scatter_(1, ids, predicted.float())


def _restored(
    model: MaskedModel,
    objectives: Sequence[Objective],
    placed: dict[str, Tensor],
    tokens: Tokens,
    visible: Bool[Tensor, "1 n"],
) -> Restored:
    """Every objective's restoring applied to what the former left."""
    values, names, notes = tokens.values, [], []
    for objective in objectives:
        target = objective.target
        if not isinstance(target, Restoring) or objective.where == "visible":
            continue
        guesses, weights = _stand_ins(replace(tokens, values=values), visible, first=not names)
        parts = [target.restore(placed[objective.name], guess) for guess in guesses]
        whole = [part.float() for part in parts if part is not None]
        if not whole:
            continue
        names.append(objective.name)
        restored = sum((w * part for w, part in zip(weights, whole)), torch.zeros_like(whole[0]))
        values = torch.where(visible[:, :, None], tokens.values, restored)
        if target.restores_with:
            notes.append(
                f"{objective.name} needs {target.restores_with}, which a hidden part does not "
                "tell: taken from the nearest visible tokens instead"
            )
    if not names:
        raise RecipeError(
            f"no objective of {model.recipe.name!r} restores hidden tokens of "
            f"{_named(objectives)}: {[o.name for o in objectives]} predict something "
            "else, such as a teacher's features; name a run that was trained to reconstruct"
        )
    return Restored(
        values=values[0], visible=visible[0], objectives=tuple(names), notes=tuple(notes)
    )


def _named(objectives: Sequence[Objective]) -> str:
    return objectives[0].modality if objectives else "this modality, which it only takes in"


def _stand_ins(
    tokens: Tokens, visible: Bool[Tensor, "1 n"], *, first: bool
) -> tuple[list[Tokens], list[Tensor]]:
    """The tokens with visible ones' values in hidden ones' places, several times with weights.

    On a grid the nearest few by inverse distance; elsewhere, where an average of two tokens may
    mean nothing, the nearest one. After the first objective: what that restored.
    """
    if not first:
        return [tokens], [torch.ones_like(tokens.values[..., :1])]
    count = min(_NEIGHBOURS if tokens.grid is not None else 1, int(visible.sum()))
    distances = torch.cdist(tokens.coords.float(), tokens.coords.float())
    near = distances.masked_fill(~visible[:, None, :], torch.inf).topk(count, dim=2, largest=False)
    weights = 1.0 / near.values.clamp_min(1e-6)
    weights = weights / weights.sum(dim=2, keepdim=True)
    stand_ins = []
    for place in range(count):
        ids = near.indices[:, :, place, None].expand_as(tokens.values)
        borrowed = torch.where(visible[:, :, None], tokens.values, tokens.values.gather(1, ids))
        stand_ins.append(replace(tokens, values=borrowed))
    return stand_ins, list(weights[..., None].unbind(dim=2))
