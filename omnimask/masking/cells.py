"""CellMask: coarse cells of neighbouring tokens."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.columns import describe, need_grid
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio
from omnimask.tokens.tokens import Grid, Layout, Span


@dataclass(frozen=True, kw_only=True, slots=True)
class CellMask:
    """Hides random cells of `cell` tokens per grid axis; tokens of a cell are hidden together.

    SimMIM, https://arxiv.org/abs/2111.09886, section 3.2: units of 32 pixels, so cell (2, 2) for
    patches of 16. The number of visible tokens is exactly that of the ratio; for this the last
    visible cell is cut and shows only its first tokens. Cells at the far borders are smaller where
    `cell` does not divide the grid.
    """

    ratio: float = 0.6
    cell: tuple[int, ...] = (2, 2)

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        if not self.cell or min(self.cell) < 1:
            raise RecipeError(
                f"CellMask.cell must be sizes in tokens, at least 1 per axis, got {self.cell}; "
                "write (2, 2)"
            )

    def check(self, grid: Grid | None, modality: str) -> None:
        known = need_grid(grid, modality, masker="CellMask", needs="a grid")
        if len(known) != len(self.cell):
            raise RecipeError(
                f"CellMask.cell must have one size per axis of {modality} ({describe(known)}), "
                f"got {self.cell}; write {(2,) * len(known)}"
            )
        if all(size <= side for size, side in zip(known.values(), self.cell)):
            raise RecipeError(
                f"CellMask.cell {self.cell} holds the whole grid of {modality} "
                f"({describe(known)}), so that nothing is left to choose; write smaller sizes"
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
        counts = [
            math.ceil(size / side) for size, side in zip(span.grid.values(), self.cell, strict=True)
        ]
        cell_ids = torch.zeros(1, dtype=torch.long, device=span.coords.device)
        for size, side, count in zip(span.grid.values(), self.cell, counts, strict=True):
            along = torch.arange(size, device=cell_ids.device) // side
            cell_ids = (cell_ids[:, None] * count + along).flatten()
        scores = rng.uniform(math.prod(counts)).index_select(1, cell_ids)
        return SpanChoice.by_ratio(self.ratio, scores, span)
