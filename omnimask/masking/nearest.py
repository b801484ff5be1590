"""NearestMask: one neighbourhood in space."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omnimask.foundation.rng import Rng
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio
from omnimask.tokens.tokens import Grid, Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class NearestMask:
    """Hides a random valid token and those nearest to it, by Euclidean distance of coordinates.

    Point-MAE's block masking, the alternative to its random masks (https://arxiv.org/abs/2203.06604).
    Works on any modality; axes count in the units of its coordinates.
    """

    ratio: float = 0.6

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def check(self, grid: Grid | None, modality: str) -> None:
        """Nothing to object to: every modality has coordinates."""

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        choices = [
            self._choose(layout.only(span), rng.child(span.modality)) for span in layout.spans
        ]
        return [MaskPlan.by_span(layout, choices)]

    def _choose(self, part: Layout, rng: Rng) -> SpanChoice:
        (span,) = part.spans
        coords = span.coords.float()
        drawn = rng.uniform(len(span)).masked_fill(~part.valid, 2.0)
        centre = drawn.argmin(dim=1)[:, None, None].expand(-1, 1, coords.shape[2])
        offsets = coords - coords.gather(1, centre)
        # Axis by axis: the order in which a device adds up decides the last bit, and so near ties.
        distance = torch.zeros_like(drawn)
        for axis in range(coords.shape[2]):
            distance = distance + offsets[:, :, axis].square()
        return SpanChoice.by_ratio(self.ratio, -distance, span)
