"""MultiBlockMask: the hidden part is the union of a few large blocks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Int64
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng, fold_key
from omnimask.masking.columns import columns_of, need_grid, spread
from omnimask.masking.plan import MaskPlan, SpanChoice, per_row
from omnimask.masking.rectangles import Rectangles, below, check_aspect, covering_order, mirror
from omnimask.tokens.tokens import Grid, Layout, Span

# Blocks that fill up what a sample's own ones miss of the fixed number; beyond them at random.
_SPARE_BLOCKS = 2
_MASKS_FOR_MEAN = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiBlockMask:
    """Hides `num_blocks` blocks of `share` of the places each, in the grid's last two axes.

    Every block spans the other axes; the blocks of a sample have one size, with height by width
    uniform in `aspect` as far as the grid allows, and may overlap. On a grid with a single axis
    they are intervals. V-JEPA, https://arxiv.org/abs/2404.08471, section 3.2, and its code: 8 of
    0.15 and 2 of 0.7. The code draws one size for all samples of a batch and cuts their masks to
    the smallest. Here a sample has a size of its own, and the number of hidden places is the mean
    over all masks of the grid, so that neither depends on the batch: too large a union is cut at
    its last block, too small a one is filled up from further blocks.
    """

    num_blocks: int = 8
    share: float = 0.15
    aspect: tuple[float, float] = (0.75, 1.5)

    def __post_init__(self) -> None:
        check_aspect("MultiBlockMask", self.aspect)
        if self.num_blocks < 1:
            raise RecipeError(
                f"MultiBlockMask.num_blocks must be >= 1, got {self.num_blocks}; write 8"
            )
        if not 0.0 < self.share < 1.0:
            example = self.share / 100 if 1.0 < self.share < 100.0 else 0.15
            raise RecipeError(
                f"MultiBlockMask.share must be in (0, 1), got {self.share:g}; write {example:g}"
            )

    def check(self, grid: Grid | None, modality: str) -> None:
        need_grid(grid, modality, masker="MultiBlockMask", needs="a grid")

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
        columns = columns_of(span, axes, lambda filled: mean_coverage(self, filled))
        sizes = _rows_and_columns(columns.sizes)
        columns_filled = per_row(columns.lengths[-1], rng.keys.device)
        rows_filled = torch.ones_like(columns_filled)
        if len(axes) == 2:
            rows_filled = per_row(columns.lengths[0], rng.keys.device)
        extent = (rows_filled, columns_filled)
        hidden_order = covering_order(self.draw(extent, rng), sizes, rng)
        # Blocks are cut at their last rows; mirrored at random, no side is shown more often.
        flip = rng.child("flip").uniform(2) < 0.5
        hidden_order = mirror(hidden_order, sizes, flip=(flip[:, :1], flip[:, 1:]), extent=extent)
        return SpanChoice(
            scores=spread(-hidden_order, span.grid, axes), num_visible=columns.num_visible
        )

    def draw(
        self, extent: tuple[Int64[Tensor, "r 1"], Int64[Tensor, "r 1"]], rng: Rng
    ) -> Rectangles:
        """A sample's own blocks, then the spare ones, within its rows and columns."""
        rows, across = extent
        count = self.num_blocks + _SPARE_BLOCKS
        low, high = self.aspect
        # In fp64, so that a device computes the sizes that a host does.
        aspect = low + (high - low) * rng.child("aspect").uniform(1).double()
        area = (self.share * (rows * across).double()).floor()
        height, width = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        # Where a block would be longer than the grid, the other side makes up for it.
        width = torch.where((height > rows) | (rows == 1), (area / rows).round(), width)
        height = torch.where((width > across) | (across == 1), (area / across).round(), height)
        height, width = (
            torch.minimum(side.long().clamp_min(1), limit).expand(-1, count)
            for side, limit in ((height, rows), (width, across))
        )
        return Rectangles(
            top=below(rows - height + 1, rng.child("top"), count),
            left=below(across - width + 1, rng.child("left"), count),
            height=height,
            width=width,
        )


@cache
def mean_coverage(masker: MultiBlockMask, filled: tuple[int, ...]) -> float:
    """The share of the places that a sample's own blocks cover, on average over many masks.

    `filled` are the lengths of the one or two axes. A union of all places does not count, since
    V-JEPA's code draws again then. Drawn from fixed keys on the CPU: alike everywhere.
    """
    keys = [fold_key("mean coverage", number) for number in range(_MASKS_FOR_MEAN)]
    rng = Rng(keys=torch.tensor(keys, device="cpu"))
    sizes = _rows_and_columns(filled)
    rows, across = (torch.full((_MASKS_FOR_MEAN, 1), size, device="cpu") for size in sizes)
    order = covering_order(masker.draw((rows, across), rng), sizes, rng)
    covered = order < masker.num_blocks  # the spare blocks and what is in no block come later
    shares = covered.double().mean(dim=1).numpy()
    partial = shares[shares < 1.0]
    return float(partial.mean()) if len(partial) else 1.0


def _rows_and_columns(sizes: tuple[int, ...]) -> tuple[int, int]:
    """A single axis is a single row."""
    return (sizes[0] if len(sizes) == 2 else 1, sizes[-1])
