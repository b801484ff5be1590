"""SampleByHint: random masks that a hint makes more likely here than there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import Rng
from omnimask.masking.hints import given_hint
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio
from omnimask.tokens.tokens import Grid, Layout

_LEAST = 1e-10  # of a random number before its logarithm, as in MAMP's code


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleByHint:
    """Hides `ratio` of each modality's valid tokens, drawn without replacement: with
    hide="high" a token's chance grows with the softmax of hint / (`temperature` * its largest
    value in the sample), with "low" that of being shown does.

    Gumbel noise added to the logarithms of probabilities and the highest taken; MAMP,
    https://arxiv.org/abs/2308.07092, section 3.3. `hint` names numbers of 0 or more (b n) over the
    sequence. With the same number everywhere, and as `temperature` grows, it is `RandomMask`.
    """

    ratio: float = 0.75
    hint: str
    hide: Literal["high", "low"] = "high"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        if self.temperature <= 0:
            raise RecipeError(
                f"SampleByHint.temperature must be positive, got {self.temperature:g}; write 1.0"
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
        hint = given_hint(self, hints)
        choices = []
        for span in layout.spans:
            where = slice(span.start, span.stop)
            likely = self._logits(hint[:, where], layout.valid[:, where])
            noise = _gumbel(rng.child(span.modality).uniform(len(span)))
            scores = likely + noise if self.hide == "high" else -(likely + noise)
            choices.append(SpanChoice.by_ratio(self.ratio, scores, span))
        return [MaskPlan.by_span(layout, choices)]

    def _logits(self, hint: Tensor, valid: Tensor) -> Float[Tensor, "r n"]:
        """In fp64, so that no device's last bits decide an order."""
        real = hint.double().masked_fill(~valid, 0.0)
        return real / (real.amax(dim=1, keepdim=True) * self.temperature + _LEAST)


def _gumbel(uniform: Float[Tensor, "r n"]) -> Float[Tensor, "r n"]:
    return -torch.log(-torch.log(uniform.double() + _LEAST) + _LEAST)
