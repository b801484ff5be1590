"""TubeMask: the same places in every slice along an axis."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.columns import columns_of, need_axis, spread
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio
from omnimask.tokens.tokens import Grid, Layout, Span


@dataclass(frozen=True, kw_only=True, slots=True)
class TubeMask:
    """Hides `ratio` of the places on the other axes, each all along `axis`.

    VideoMAE, https://arxiv.org/abs/2203.12602, section 3.3: the same patches in every frame, so
    that a still patch cannot be copied from a neighbouring frame. The ratio is met in whole tubes.
    """

    ratio: float = 0.9
    axis: str = "t"

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def check(self, grid: Grid | None, modality: str) -> None:
        known = need_axis(grid, modality, masker="TubeMask", axis=self.axis)
        if math.prod(known.values()) == known[self.axis]:
            raise RecipeError(
                f"TubeMask(axis={self.axis!r}) hides the same places of {modality} all along "
                f"{self.axis!r}, but there is only one place; use RandomMask or AxisMask"
            )

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        choices = [self._choose(span, rng.child(span.modality)) for span in layout.spans]
        return [MaskPlan.by_span(layout, choices)]

    def _choose(self, span: Span, rng: Rng) -> SpanChoice:
        assert span.grid is not None, "check() refuses a modality without a grid"
        axes = tuple(axis for axis in span.grid if axis != self.axis)
        columns = columns_of(span, axes, self.ratio)
        scores = rng.uniform(math.prod(columns.sizes))
        return SpanChoice(scores=spread(scores, span.grid, axes), num_visible=columns.num_visible)
