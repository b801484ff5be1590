"""PerModality: each modality with a masker of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.foundation.rng import Rng
from omnimask.masking.plan import Masker, MaskPlan
from omnimask.tokens.tokens import Grid, Layout, Span


@dataclass(frozen=True, kw_only=True, slots=True)
class PerModality:
    """`masks` has one masker per modality name, used wherever that modality appears; `beside` may
    have another one for it in groups of several modalities, such as HideAll for one that the
    others of a sample are to tell.

    Modalities of one group are masked independently; their maskers must then agree in the number
    of plans and copies.
    """

    masks: Mapping[str, Masker]
    beside: Mapping[str, Masker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for modality in self.beside:
            self._masker(modality)  # a misspelt name would have no effect

    def check(self, grid: Grid | None, modality: str) -> None:
        self._masker(modality).check(grid, modality)
        if modality in self.beside:
            self.beside[modality].check(grid, modality)

    def __call__(
        self,
        layout: Layout,
        rng: Rng,
        hints: Mapping[str, Tensor] | None = None,
        progress: float = 0.0,
    ) -> list[MaskPlan]:
        own = {span.modality: self._masker(span.modality) for span in layout.spans}
        maskers = own | (dict(self.beside) if len(own) > 1 else {})
        per_span = [
            maskers[span.modality](layout.only(span), rng, _hints_within(span, hints), progress)
            for span in layout.spans
        ]
        shapes = [tuple(plan.copies for plan in plans) for plans in per_span]
        if len(set(shapes)) > 1:
            found = ", ".join(
                f"{span.modality}: {len(shape)} plans with {list(shape)} copies"
                for span, shape in zip(layout.spans, shapes, strict=True)
            )
            raise RecipeError(
                "modalities of one group need maskers with the same number of plans and copies, "
                f"got {found}; write Copies(masker=PerModality(...), copies=...)"
            )
        starts = [span.start for span in layout.spans]
        return [MaskPlan.merge(plans, starts) for plans in zip(*per_span, strict=True)]

    def _masker(self, modality: str) -> Masker:
        if modality not in self.masks:
            raise RecipeError(
                f"PerModality.masks has no masker for {modality!r}; "
                f"{nearest_names(modality, self.masks)}"
            )
        return self.masks[modality]


def _hints_within(span: Span, hints: Mapping[str, Tensor] | None) -> Mapping[str, Tensor] | None:
    if hints is None:
        return None
    return {name: hint[:, span.start : span.stop] for name, hint in hints.items()}
