"""Copies: several masks of one sample."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.plan import Masker, MaskPlan
from omnimask.tokens.tokens import Grid, Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """Draws `copies` independent masks of every sample, as consecutive rows of one plan.

    Reading, targets and the teacher's pass are paid once for all of them: data2vec 2.0,
    https://arxiv.org/abs/2212.07525, section 3.
    """

    masker: Masker
    copies: int

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise RecipeError(f"Copies.copies must be >= 1, got {self.copies}; write 2")

    def check(self, grid: Grid | None, modality: str) -> None:
        self.masker.check(grid, modality)

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        if hints is not None:
            hints = {k: v.repeat_interleave(self.copies, dim=0) for k, v in hints.items()}
        plans = self.masker(layout.repeat(self.copies), rng.repeat(self.copies), hints, progress)
        return [replace(plan, copies=plan.copies * self.copies) for plan in plans]
