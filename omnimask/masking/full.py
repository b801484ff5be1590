"""The plan that shows everything: the teacher's view, and the encoder's when it is used."""

import torch

from omnimask.masking.plan import MaskPlan
from omnimask.tokens import Layout


def full_plan(layout: Layout) -> MaskPlan:
    """Every valid token is visible, none is predicted."""
    per_span = [span.num_valid for span in layout.spans]
    num_visible = tuple(sum(counts) for counts in zip(*per_span, strict=True))
    width = max(num_visible)
    order = torch.argsort((~layout.valid).to(torch.uint8), dim=1, stable=True)[:, :width]
    visible_ok = layout.valid.gather(1, order)
    nothing = order[:, :0]
    return MaskPlan(
        visible_ids=torch.where(visible_ok, order, 0),
        visible_ok=visible_ok,
        predict_ids=nothing,
        predict_ok=nothing.bool(),
        num_visible=num_visible,
        num_predict=(0,) * len(num_visible),
    )
