"""InverseBlockMask: the visible part is a union of blocks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.blocks import check_two_axes
from omnimask.masking.columns import Columns, columns_of, spread
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio, per_row
from omnimask.masking.rectangles import (
    Rectangles,
    below,
    check_aspect,
    covering_order,
    draw_rectangles,
    roll,
)
from omnimask.tokens.tokens import Grid, Layout, Span


@dataclass(frozen=True, kw_only=True, slots=True)
class InverseBlockMask:
    """Shows random blocks in the grid's last two axes, all along the others, and hides the rest.

    With `block` tokens on a side, squares around random places are shown until `1 - ratio` is
    visible (data2vec 2.0, https://arxiv.org/abs/2212.07525, section 3). With `block=None` the
    visible part is one rectangle of height by width within `aspect` (CAPI,
    https://arxiv.org/abs/2502.08769, and its code: ratio 0.65, aspect (0.5, 2), `roll`). `roll`
    moves the whole picture of the mask by a random shift around the borders, after which every
    place is visible equally often. The last block is cut, row by row, to meet the ratio exactly.
    """

    ratio: float = 0.8
    block: int | None = 3
    aspect: tuple[float, float] = (1.0, 1.0)
    roll: bool = False

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        check_aspect("InverseBlockMask", self.aspect)
        if self.block is not None and self.block < 1:
            raise RecipeError(
                f"InverseBlockMask.block must be >= 1 token, or None for one block of the visible "
                f"part's size, got {self.block}; write 3"
            )
        if self.block is not None and self.aspect != (1.0, 1.0):
            raise RecipeError(
                f"InverseBlockMask.aspect is for block=None; blocks of {self.block} tokens on a "
                "side are squares: leave aspect out"
            )

    def check(self, grid: Grid | None, modality: str) -> None:
        check_two_axes(grid, modality, masker="InverseBlockMask")

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
        axes = tuple(span.grid)[-2:]
        columns = columns_of(span, axes, self.ratio)
        sizes = (columns.sizes[0], columns.sizes[1])
        down, across = (per_row(length, rng.keys.device) for length in columns.lengths)
        if self.block is None:
            blocks = self._one_block(columns, rng, (down, across))
        else:
            blocks = self._squares(self.block, columns, rng, (down, across))
        shown_order = covering_order(blocks, sizes, rng)
        if self.roll:
            shift = (below(down, rng.child("down"), 1), below(across, rng.child("across"), 1))
            shown_order = roll(shown_order, sizes, shift=shift, extent=(down, across))
        return SpanChoice(
            scores=spread(shown_order, span.grid, axes), num_visible=columns.num_visible
        )

    def _one_block(self, columns: Columns, rng: Rng, extent: tuple[Tensor, Tensor]) -> Rectangles:
        area = per_row(columns.num_visible_columns, rng.keys.device)
        return draw_rectangles(area, rng, aspect=self.aspect, extent=extent)

    def _squares(
        self, side: int, columns: Columns, rng: Rng, extent: tuple[Tensor, Tensor]
    ) -> Rectangles:
        """Squares around random places; they are cut off at the borders, as in data2vec 2.0."""
        # Twice as many as cover the visible share on average, were they independent, and some more.
        share = side**2 / math.prod(columns.sizes)
        count = 8 + math.ceil(2 * -math.log(self.ratio) / share)
        top, left = (
            below(length, rng.child(name), count) - side // 2
            for name, length in zip(("top", "left"), extent, strict=True)
        )
        sides = torch.full_like(top, side)
        return Rectangles(top=top, left=left, height=sides, width=sides)
