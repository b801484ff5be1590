"""RandomMask: every token hidden or shown by itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from omnimask.foundation.rng import Rng
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio
from omnimask.tokens.tokens import Grid, Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomMask:
    """Hides `ratio` of each modality's valid tokens, uniformly at random.

    MAE, https://arxiv.org/abs/2111.06377, section 3. Works on any modality.
    """

    ratio: float = 0.75

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def check(self, grid: Grid | None, modality: str) -> None:
        """Nothing to object to: any modality will do."""

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        choices = [
            SpanChoice.by_ratio(self.ratio, rng.child(span.modality).uniform(len(span)), span)
            for span in layout.spans
        ]
        return [MaskPlan.by_span(layout, choices)]
