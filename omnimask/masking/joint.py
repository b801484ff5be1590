"""JointBudget: one budget of visible tokens for all modalities of a sample."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.foundation.rng import Rng
from omnimask.masking.plan import MaskPlan, ranks, sum_rows
from omnimask.tokens.tokens import Grid, Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class JointBudget:
    """Shows `num_visible` tokens in all, split over the modalities by Dirichlet(alphas) shares.

    MultiMAE, https://arxiv.org/abs/2204.01678, section 3.2. One alpha for all, or one by modality
    name: small alphas favour samples that show nearly one modality alone. Within a modality, tokens
    are chosen uniformly. The total is exact: places go to the modalities by the Sainte-Laguë rule,
    so that rounding neither gains nor loses one, and what a modality is too short to use goes to
    the others. A sample with no more tokens than the budget hides one.

    An input-only modality cannot share a budget, since only the device would know how many of the
    predicted tokens it has taken away.
    """

    num_visible: int
    alphas: Mapping[str, float] | float = 1.0

    def __post_init__(self) -> None:
        if self.num_visible < 1:
            raise RecipeError(
                f"JointBudget.num_visible must be >= 1 token, got {self.num_visible}; write 98"
            )
        named = self.alphas if isinstance(self.alphas, Mapping) else {"": self.alphas}
        for name, alpha in named.items():
            if not alpha > 0.0:
                where = f"JointBudget.alphas{f'[{name!r}]' if name else ''}"
                raise RecipeError(f"{where} must be > 0, got {alpha:g}; write 1.0")

    def check(self, grid: Grid | None, modality: str) -> None:
        self._alpha(modality)

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        for span in layout.spans:
            if any(n > 0 and m == 0 for n, m in zip(span.num_valid, span.num_scorable)):
                raise RecipeError(
                    f"JointBudget: {span.modality} is input-only (no token has ground truth) and "
                    "cannot share a budget; use PerModality"
                )
        alphas = tuple(self._alpha(span.modality) for span in layout.spans)
        shares = rng.child("shares").dirichlet(alphas)
        scores = []
        for number, span in enumerate(layout.spans):
            part = layout.only(span)
            order = ranks(rng.child(span.modality).uniform(len(span)), part.valid)
            scores.append((order + 0.5) / shares[:, number : number + 1])
        totals = sum_rows([span.num_valid for span in layout.spans])
        return [MaskPlan.jointly(layout, torch.cat(scores, dim=1), self._counts(totals))]

    def _counts(self, totals: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(max(min(self.num_visible, total - 1), min(total, 1)) for total in totals)

    def _alpha(self, modality: str) -> float:
        if not isinstance(self.alphas, Mapping):
            return self.alphas
        if modality not in self.alphas:
            raise RecipeError(
                f"JointBudget.alphas has no number for {modality!r}; "
                f"{nearest_names(modality, self.alphas)}"
            )
        return self.alphas[modality]
