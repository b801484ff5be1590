"""NoiseMask: filtered noise decides, so that the hidden part has a chosen grain."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.foundation.rng import Rng
from omnimask.masking.columns import need_grid
from omnimask.masking.plan import MaskPlan, SpanChoice, check_ratio
from omnimask.tokens.tokens import Grid, Layout, Span

COLORS = ("red", "blue", "green", "purple")
# Where a Gaussian is cut off, in standard deviations; scipy.ndimage cuts it at the same place.
_REACH = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseMask:
    """Shows the places where filtered Gaussian noise is highest, hides `ratio` of each modality.

    ColorMAE, https://arxiv.org/abs/2407.13036, section 3. With Gaussian blurs of the two `sigmas`,
    in tokens along every axis of the grid, the noise is "red" (the wide blur: large blobs), "green"
    (narrow less wide blur: small blobs), "blue" (what the narrow blur takes away: evenly spread) or
    "purple" (all but green). ColorMAE cuts its masks out of larger patterns, which its code loads
    ready-made, so that the sigmas here are our choice. Noise is drawn beyond the grid as well: here
    too a mask is cut from a larger pattern, and its borders do not differ from its inside.
    """

    ratio: float = 0.75
    color: str = "green"
    sigmas: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        if self.color not in COLORS:
            raise RecipeError(
                f"NoiseMask.color must be one of {', '.join(COLORS)}, got {self.color!r}; "
                f"{nearest_names(self.color, COLORS)}"
            )
        narrow, wide = self.sigmas
        if not 0.0 < narrow < wide < math.inf:
            raise RecipeError(
                f"NoiseMask.sigmas must be (narrow, wide) with 0 < narrow < wide, in tokens, got "
                f"({narrow:g}, {wide:g}); write (0.5, 2.0)"
            )

    def check(self, grid: Grid | None, modality: str) -> None:
        need_grid(grid, modality, masker="NoiseMask", needs="a grid")

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
        return SpanChoice.by_ratio(self.ratio, -self.noise(tuple(span.grid.values()), rng), span)

    def noise(self, sizes: Sequence[int], rng: Rng) -> Float[Tensor, "r n"]:
        """The filtered noise on a grid of these sizes, in storage order."""
        narrow, wide = self.sigmas
        margin = _radius(wide)
        padded = [size + 2 * margin for size in sizes]
        # In fp64: devices add up in different orders, which must not swap two places.
        white = rng.normal(math.prod(padded)).double().unflatten(1, padded)
        if self.color == "red":
            filtered = blurred(white, wide, margin=margin)
        elif self.color == "blue":
            filtered = _inside(white, margin) - blurred(white, narrow, margin=margin)
        else:
            filtered = blurred(white, narrow, margin=margin) - blurred(white, wide, margin=margin)
            if self.color == "purple":
                filtered = _inside(white, margin) - filtered
        return filtered.flatten(1).float()


def blurred(field: Float[Tensor, "r ..."], sigma: float, *, margin: int) -> Float[Tensor, "r ..."]:
    """The Gaussian blur of a field along all its axes, without its `margin` on every side."""
    radius = min(_radius(sigma), margin)
    for padded in field.shape[1:]:
        places = torch.arange(padded, dtype=field.dtype, device=field.device)
        offsets = places - places[margin : padded - margin, None]
        weights = (-0.5 * (offsets / sigma).square()).exp() * (offsets.abs() <= radius)
        weights = weights / weights.sum(dim=1, keepdim=True)
        # Each axis in turn goes out in front and comes back as the last: all end where they began.
        field = torch.einsum("rp...,sp->r...s", field, weights)
    return field


def _radius(sigma: float) -> int:
    return int(_REACH * sigma + 0.5)


def _inside(field: Tensor, margin: int) -> Tensor:
    for axis in range(1, field.dim()):
        field = field.narrow(axis, margin, field.shape[axis] - 2 * margin)
    return field
