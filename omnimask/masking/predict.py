"""PredictShare and PredictVisible: what is predicted, when it is not just what is hidden."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.plan import Masker, MaskPlan, lowest, pick, share_count, sum_rows
from omnimask.tokens.tokens import Grid, Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictShare:
    """Predicts a random `share` of what `masker` would have predicted, at least one token.

    CrossMAE, https://arxiv.org/abs/2401.14391, section 3 (its prediction ratio counts all tokens:
    0.25 there, with ratio 0.75, is a share of 1/3 here); CAPI, https://arxiv.org/abs/2502.08769.
    """

    masker: Masker
    share: float

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            example = self.share / 100 if 1.0 < self.share <= 100.0 else 0.5
            raise RecipeError(
                f"PredictShare.share must be in (0, 1], got {self.share:g}; write {example:g}"
            )

    def check(self, grid: Grid | None, modality: str) -> None:
        self.masker.check(grid, modality)

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        plans = self.masker(layout, rng, hints, progress)
        drawn = rng.child("predict share")
        return [
            self._thin(plan, drawn.child(number).repeat(plan.copies))
            for number, plan in enumerate(plans)
        ]

    def _thin(self, plan: MaskPlan, rng: Rng) -> MaskPlan:
        counts = tuple(share_count(self.share, count) for count in plan.num_predict)
        kept = lowest(rng.uniform(plan.predict_ids.shape[1]), plan.predict_ok, counts)
        ids, ok = pick(plan.predict_ids, kept, counts)
        return replace(plan, predict_ids=ids, predict_ok=ok, num_predict=counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictVisible:
    """Predicts every scorable token: those that `masker` hides and those that it shows.

    ReMasker, https://arxiv.org/abs/2309.13793, section 3, reconstructs shown cells too. To
    predict only a part of all, put PredictShare around it.
    """

    masker: Masker

    def __post_init__(self) -> None:
        if isinstance(self.masker, PredictShare):
            raise RecipeError(
                "PredictVisible predicts every scorable token, so that the share inside has no "
                "effect; write PredictShare(masker=PredictVisible(...), share=...)"
            )

    def check(self, grid: Grid | None, modality: str) -> None:
        self.masker.check(grid, modality)

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        return [
            predict_everything(plan, layout.repeat(plan.copies))
            for plan in self.masker(layout, rng, hints, progress)
        ]


def predict_everything(plan: MaskPlan, layout: Layout) -> MaskPlan:
    """The plan with every scorable token predicted; `layout` has the plan's rows."""
    counts = sum_rows([span.num_scorable for span in layout.spans])
    ids = torch.arange(layout.valid.shape[1], device=layout.valid.device)
    predict_ids, predict_ok = pick(ids.expand(layout.valid.shape), layout.scorable, counts)
    return replace(plan, predict_ids=predict_ids, predict_ok=predict_ok, num_predict=counts)
