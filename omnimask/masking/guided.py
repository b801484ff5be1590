"""GuidedMask: hides what a hint calls hard."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.hints import given_hint
from omnimask.masking.plan import (
    Counts,
    MaskPlan,
    SpanChoice,
    check_ratio,
    lowest,
    visible_counts,
)
from omnimask.tokens.tokens import Grid, Layout

# A product such as 0.3 * 10 may miss the integer that it means by a rounding error.
_SLACK = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class GuidedMask:
    """Hides `ratio` of each modality's valid tokens, a share of them where the hint is highest.

    The share goes from `start` to `stop`, linearly with the progress of training, and is rounded
    down; the other hidden tokens are random ones of the rest. `hint` names numbers (b n) over the
    sequence that come with the call; higher means harder. HPM, https://arxiv.org/abs/2304.05919,
    section 3.3 and its code: 0 to 0.5, from easy to hard, by the loss that a teacher expects.
    """

    ratio: float = 0.75
    hint: str
    start: float = 0.0
    stop: float = 0.5

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        for name, share in (("start", self.start), ("stop", self.stop)):
            if not 0.0 <= share <= 1.0:
                raise RecipeError(
                    f"GuidedMask.{name} must be a share of the hidden tokens in [0, 1], got "
                    f"{share:g}; write 0.5"
                )

    def check(self, grid: Grid | None, modality: str) -> None:
        """Nothing to object to: any modality will do."""

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        share = self.start + (self.stop - self.start) * progress
        hint = given_hint(self, hints)
        choices = []
        for span in layout.spans:
            where = slice(span.start, span.stop)
            num_visible = visible_counts(self.ratio, span.num_valid)
            num_hard = _num_hard(share, span.num_valid, num_visible)
            hard = lowest(-hint[:, where].float(), layout.valid[:, where], num_hard)
            # A random number is below 1: the hard ones come after all others.
            scores = rng.child(span.modality).uniform(len(span)) + hard
            choices.append(SpanChoice(scores=scores, num_visible=num_visible))
        return [MaskPlan.by_span(layout, choices)]


def _num_hard(share: float, num_valid: Counts, num_visible: Counts) -> Counts:
    pairs = zip(num_valid, num_visible, strict=True)
    return tuple(math.floor(share * (n - k) + _SLACK) for n, k in pairs)
