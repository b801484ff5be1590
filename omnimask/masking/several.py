"""SeveralMasks: several maskers on the same samples."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.plan import Masker, MaskPlan
from omnimask.tokens.tokens import Grid, Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class SeveralMasks:
    """The plans of all `masks`, drawn independently, one after the other.

    For maskers that differ; several masks of one masker are cheaper as Copies. V-JEPA,
    https://arxiv.org/abs/2404.08471, section 3.2, uses two: short-range and long-range blocks.
    """

    masks: tuple[Masker, ...]

    def __post_init__(self) -> None:
        if not self.masks:
            raise RecipeError("SeveralMasks.masks is empty; write masks=(RandomMask(),)")

    def check(self, grid: Grid | None, modality: str) -> None:
        for masker in self.masks:
            masker.check(grid, modality)

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        return [
            plan
            for number, masker in enumerate(self.masks)
            for plan in masker(layout, rng.child(number), hints, progress)
        ]
