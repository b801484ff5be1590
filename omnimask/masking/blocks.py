"""BlockMask: the hidden part is a union of blocks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.columns import columns_of, describe, need_grid, spread
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio, per_row
from omnimask.masking.rectangles import below, check_aspect, covering_order, draw_rectangles
from omnimask.tokens.tokens import Grid, Layout, Span


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockMask:
    """Hides random rectangles in the grid's last two axes, each all along the other axes.

    BEiT, https://arxiv.org/abs/2106.08254, algorithm 1: rectangles of at least `min_tokens` places
    and height by width within `aspect` are added until `ratio` of the places is hidden. The last
    one is cut, row by row, where it would hide too many. BEiT draws each one's size up to what is
    still missing; here it is up to the whole hidden part, so that all can be drawn at once.
    """

    ratio: float = 0.4
    min_tokens: int = 16
    aspect: tuple[float, float] = (0.3, 1 / 0.3)

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        check_aspect("BlockMask", self.aspect)
        if self.min_tokens < 1:
            raise RecipeError(f"BlockMask.min_tokens must be >= 1, got {self.min_tokens}; write 16")

    def check(self, grid: Grid | None, modality: str) -> None:
        check_two_axes(grid, modality, masker="BlockMask")

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
        rows, across = (per_row(length, rng.keys.device) for length in columns.lengths)
        missing = per_row(columns.num_columns, rng.keys.device) - per_row(
            columns.num_visible_columns, rng.keys.device
        )
        largest = missing.clamp_min(1)
        smallest = largest.clamp_max(self.min_tokens)
        area = smallest + below(
            largest - smallest + 1, rng.child("area"), self._num_blocks(math.prod(sizes))
        )
        blocks = draw_rectangles(area, rng, aspect=self.aspect, extent=(rows, across))
        hidden_order = covering_order(blocks, sizes, rng)
        return SpanChoice(
            scores=spread(-hidden_order, span.grid, axes), num_visible=columns.num_visible
        )

    def _num_blocks(self, num_places: int) -> int:
        """Twice as many as cover the ratio on average, were they independent, and some more.

        Where that is not enough the rest is hidden at random; it depends on the grid alone, so
        that a sample's mask does not depend on its batch.
        """
        mean_share = max(self.ratio / 2, min(self.min_tokens / num_places, self.ratio))
        return 8 + math.ceil(2 * -math.log1p(-self.ratio) / mean_share)


def check_two_axes(grid: Grid | None, modality: str, *, masker: str) -> None:
    """RecipeError unless there are two last axes to draw blocks on."""
    known = need_grid(grid, modality, masker=masker, needs="a grid of two or more axes")
    if len(known) < 2:
        raise RecipeError(
            f"{masker} needs a grid of two or more axes, {modality} has {describe(known)}; "
            "use AxisMask(contiguous=True) or RandomMask"
        )
