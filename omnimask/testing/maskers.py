"""The contract of a masker, on tokens made by hand."""

from collections.abc import Mapping, Sequence

import torch

from omnimask.foundation.rng import Rng, fold_key
from omnimask.masking.plan import Masker, MaskPlan
from omnimask.testing.modalities import check_record
from omnimask.tokens.tokens import Grid, Layout, Tokens


def made_tokens(num_tokens: int | Grid, num_valid: Sequence[int]) -> Tokens:
    """Tokens without content: the first `num_valid[i]` of row i are valid; on a grid, if given."""
    grid = num_tokens if isinstance(num_tokens, Mapping) else None
    sizes = list(grid.values()) if grid is not None else [num_tokens]
    axes = [torch.arange(size) for size in sizes if isinstance(size, int)]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2).float()
    count = len(places)
    valid = torch.arange(count) < torch.tensor(num_valid)[:, None]
    return Tokens(
        values=torch.zeros(len(num_valid), count, 1),
        coords=places.expand(len(num_valid), -1, -1),
        valid=valid,
        scorable=valid,
        num_valid=tuple(num_valid),
        num_scorable=tuple(num_valid),
        grid=grid,
    )


def check_masker(masker: Masker, tokens: Mapping[str, Tokens]) -> None:
    """Draws masks of a group with these tokens, by modality, and checks what the step relies on."""
    check_record(masker)
    layout = Layout.of(tokens)
    for span in layout.spans:
        masker.check(span.grid, span.modality)
    rows = layout.valid.shape[0]
    plans = masker(layout, _keys(rows, "first"))
    again = masker(layout, _keys(rows, "first"))
    assert plans, "a masker must give at least one plan"
    for plan, same in zip(plans, again, strict=True):
        _check_plan(plan, layout.repeat(plan.copies))
        assert torch.equal(plan.visible_ids, same.visible_ids), "draw from `rng` alone"
        assert torch.equal(plan.predict_ids, same.predict_ids), "draw from `rng` alone"


def _check_plan(plan: MaskPlan, layout: Layout) -> None:
    count = layout.num_tokens
    visible, predicted = plan.is_visible(count), plan.is_predicted(count)
    assert not (visible & ~layout.valid).any(), "a token that is not valid must never be visible"
    assert not (predicted & ~layout.scorable).any(), "what is predicted must have ground truth"
    assert visible.any(dim=1).all(), "every row must show at least one token"
    assert tuple(visible.sum(dim=1).tolist()) == plan.num_visible, "num_visible must count"
    assert tuple(predicted.sum(dim=1).tolist()) == plan.num_predict, "num_predict must count"


def _keys(rows: int, label: str) -> Rng:
    return Rng(keys=torch.tensor([fold_key(row, label) for row in range(rows)]))
