"""All or nothing: the teacher's view, the encoder's when it is used, ShowAll and HideAll."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omnimask.foundation.rng import Rng
from omnimask.masking.plan import MaskPlan, SpanChoice
from omnimask.masking.predict import predict_everything
from omnimask.tokens.tokens import Grid, Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowAll:
    """Hides nothing: shows every valid token and predicts every scorable one.

    For training a tokenizer, which codes all of a sample: VQ-KD of BEiT v2,
    https://arxiv.org/abs/2208.06366, section 2.2.1.
    """

    def check(self, grid: Grid | None, modality: str) -> None:
        """Nothing to object to: any modality will do."""

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        return [predict_everything(full_plan(layout), layout)]


@dataclass(frozen=True, kw_only=True, slots=True)
class HideAll:
    """Shows nothing and predicts every scorable token.

    For a modality that others of the same sample are to tell: `PerModality(beside=...)`.
    """

    def check(self, grid: Grid | None, modality: str) -> None:
        """Nothing to object to: any modality will do."""

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        nothing = (0,) * layout.valid.shape[0]
        choices = [
            SpanChoice(scores=rng.child(span.modality).uniform(len(span)), num_visible=nothing)
            for span in layout.spans
        ]
        return [MaskPlan.by_span(layout, choices)]


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
