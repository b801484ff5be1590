"""Example: the part of a method that is its own; here a mask, as well a target or a decoder."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from omnimask.foundation.rng import Rng
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio
from omnimask.tokens.tokens import Grid, Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleMask:
    """Hides `ratio` of each modality's tokens: those far from a place that is drawn."""

    ratio: float = 0.75

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def check(self, grid: Grid | None, modality: str) -> None:
        """RecipeError here for a modality on which it cannot work."""

    def __call__(
        self,
        layout: Layout,
        rng: Rng,  # the only randomness that a masker has
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        choices = []
        for span in layout.spans:
            drawn = rng.child(span.modality).uniform(1)  # one number for each row
            places = span.coords / span.coords.amax(dim=1, keepdim=True).clamp(min=1e-6)
            distance = (places - drawn[:, :, None]).square().sum(dim=2)
            choices.append(SpanChoice.by_ratio(self.ratio, distance, span))  # the lowest are shown
        return [MaskPlan.by_span(layout, choices)]
