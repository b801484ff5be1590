"""Hints: a number per token that maskers draw by, and which of them a masker asks for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import records_in
from omnimask.masking.plan import Hinted, Masker
from omnimask.tokens.tokens import Grid, Tokens


@runtime_checkable
class Hint(Protocol):
    """A frozen record that makes a hint of the data, for the masks of a recipe (`Recipe.hints`).

    A hint of other kinds is what an EMA teacher predicts for an objective, whose name it has.
    """

    def fits(self, grid: Grid | None, /) -> bool:
        """Whether it says something of a modality with this grid; of others it is zero."""
        ...

    def __call__(self, tokens: Tokens, /) -> Float[Tensor, "b n"]:
        """Of every token of one modality; under `no_grad`, in fp32. A sample's numbers do not
        depend on other samples."""
        ...


def asked_hints(masker: Masker) -> tuple[str, ...]:
    """The names of the hints that a masker or a masker inside it asks for, each once, sorted."""
    return tuple(sorted({part.hint for part in records_in(masker) if isinstance(part, Hinted)}))


def given_hint(masker: Hinted, hints: Mapping[str, Tensor] | None) -> Float[Tensor, "b n"]:
    """The hint that a masker asks for; RecipeError where it is not among those given."""
    if hints is not None and masker.hint in hints:
        return hints[masker.hint]
    known = ", ".join(map(repr, hints or ())) or "none"
    raise RecipeError(
        f"{type(masker).__name__}.hint asks for {masker.hint!r}, hints given: {known}; name it in "
        "recipe.hints, add an objective of that name for the teacher to predict, or use RandomMask"
    )


def predicted_hints(masker: Masker, made: Collection[str]) -> tuple[str, ...]:
    """Those that a teacher has to predict, the recipe's own being `made` of the data."""
    return tuple(name for name in asked_hints(masker) if name not in made)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeHint:
    """How much a token differs from the one before it on `axis`: the mean of the absolute
    differences of its values. The first has the second one's; zero where either is not known.

    The motion of MAMP, https://arxiv.org/abs/2308.07092, section 3.3 and its code.
    """

    axis: str = "t"

    def fits(self, grid: Grid | None, /) -> bool:
        return grid is not None and grid.get(self.axis, 0) > 1

    def __call__(self, tokens: Tokens, /) -> Float[Tensor, "b n"]:
        assert tokens.grid is not None, "asked only where it fits"
        sizes, axis = tuple(tokens.grid.values()), 1 + list(tokens.grid).index(self.axis)
        values = tokens.values.float().unflatten(1, sizes).movedim(axis, 1)
        known = tokens.scorable.unflatten(1, sizes).movedim(axis, 1)
        both = known[:, 1:] & known[:, :-1]
        change = values.diff(dim=1).abs().mean(dim=-1).masked_fill(~both, 0.0)
        whole = torch.cat([change[:, :1], change], dim=1)
        return whole.movedim(1, axis).flatten(1)
