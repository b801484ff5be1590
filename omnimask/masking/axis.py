"""AxisMask: whole slices along one axis, scattered or as one band."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.columns import Columns, columns_of, need_axis, spread
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio, per_row
from omnimask.masking.rectangles import below
from omnimask.tokens.tokens import Grid, Layout, Span


@dataclass(frozen=True, kw_only=True, slots=True)
class AxisMask:
    """Hides `ratio` of the slices along `axis`: frames, moments of sound or frequency bands.

    AudioMAE's structured masks, https://arxiv.org/abs/2207.06405, section 3. With `contiguous`
    the hidden slices are one band at a uniformly random place.
    """

    ratio: float
    axis: str
    contiguous: bool = False

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def check(self, grid: Grid | None, modality: str) -> None:
        known = need_axis(grid, modality, masker="AxisMask", axis=self.axis)
        if known[self.axis] < 2:
            raise RecipeError(
                f"AxisMask hides some slices along {self.axis!r}, but {modality} has only one; "
                "choose another axis or use RandomMask"
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
        columns = columns_of(span, (self.axis,), self.ratio)
        (size,) = columns.sizes
        scores = _band(columns, rng) if self.contiguous else rng.uniform(size)
        return SpanChoice(
            scores=spread(scores, span.grid, (self.axis,)), num_visible=columns.num_visible
        )


def _band(columns: Columns, rng: Rng) -> Tensor:
    """Scores (r slices) that are highest at the middle of the hidden band and fall off from it."""
    device = rng.keys.device
    total = per_row(columns.num_columns, device)
    visible = per_row(columns.num_visible_columns, device)
    start = below(visible + 1, rng, 1)
    middle = start + (total - visible - 1) / 2
    return -(torch.arange(columns.sizes[0], device=device) - middle).abs()
