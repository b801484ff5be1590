"""What an exported graph takes, and how that becomes normalised tokens inside the graph."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.tokens.modality import Modality, Sample
from omnimask.tokens.tokens import Raw
from omnimask.transfer.modality_hooks import GRAPH_FRONTS, GraphFront, Triple, find_hook

Start = Literal["samples", "tokens"]
STARTS: tuple[str, ...] = get_args(Start)


class TokenFront:
    """The graph begins behind the modality: at its tokens."""

    free_length = True

    def __init__(self, modality: Modality) -> None:
        self.modality = modality

    def inputs(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        tokens = self.modality.split(self.reference(samples))
        parts = {"values": tokens.values, "coords": tokens.coords, "valid": tokens.valid}
        return {name: part.contiguous() for name, part in parts.items()}

    def reference(self, samples: Sequence[Sample]) -> Raw:
        return self.modality.collate(samples)

    def tokens(self, inputs: Mapping[str, Tensor]) -> Triple:
        return inputs["values"], inputs["coords"], inputs["valid"]


class CollatedFront:
    """The graph begins at collated samples: the tensors that `split` reads.

    Inputs that hold nothing (features of points without features) are left out; `inputs` finds
    them, so that it comes before `tokens`. RecipeError where `split` computes tokens from host
    integers, which no graph can: such a modality writes a `GraphFront` of its own.
    """

    def __init__(self, modality: Modality) -> None:
        self.modality = modality
        self.empty: dict[str, tuple[int, ...]] = {}
        self.host: tuple[str, ...] = ()

    @property
    def free_length(self) -> bool:
        """Tokens without a grid are a set, and their tensors are padded to its size."""
        return self.modality.grid is None

    def inputs(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        raw = _Watched(self.reference(samples))
        tokens = self.modality.split(raw)
        read = {name: part for name, part in raw.items() if name in raw.read}
        tensors = {name: part for name, part in read.items() if isinstance(part, Tensor)}
        found = {name: part.contiguous() for name, part in tensors.items() if part.numel()}
        self.empty = {name: part.shape[2:] for name, part in tensors.items() if not part.numel()}
        self.host = tuple(name for name in read if name not in tensors)
        expected = (tokens.values, tokens.coords, tokens.valid)
        blind = self._split(found, (0,) * len(samples))
        if not all(map(torch.equal, blind, expected)):
            raise RecipeError(
                f"the graph of {self.modality.name!r} cannot take samples: the tokens of "
                f"{type(self.modality).__name__} depend on the host integers "
                f"{', '.join(self.host)}; export it with --from tokens"
            )
        return found

    def reference(self, samples: Sequence[Sample]) -> Raw:
        return self.modality.collate(samples)

    def tokens(self, inputs: Mapping[str, Tensor]) -> Triple:
        return self._split(inputs, ())

    def _split(self, inputs: Mapping[str, Tensor], count: tuple[int, ...]) -> Triple:
        """With `count` in the place of all host integers."""
        size = next(iter(inputs.values())).shape[:2]
        nothing = {name: torch.zeros(*size, *rest) for name, rest in self.empty.items()}
        counts = dict.fromkeys(self.host, count)
        tokens = self.modality.split({**inputs, **nothing, **counts})
        return tokens.values, tokens.coords, tokens.valid


class _Watched(dict[str, Tensor | tuple[int, ...]]):
    """Remembers which entries were asked for."""

    def __init__(self, raw: Raw) -> None:
        super().__init__(raw)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Tensor | tuple[int, ...]:
        self.read.add(name)
        return super().__getitem__(name)


def front_of(modality: Modality, start: str) -> GraphFront:
    """The modality's own hook goes before `CollatedFront`. RecipeError for an unknown `start`."""
    if start not in STARTS:
        raise RecipeError(
            f"a graph begins at samples or tokens, got {start!r}; {nearest_names(start, STARTS)}"
        )
    if start == "tokens":
        return TokenFront(modality)
    make = find_hook(modality, GRAPH_FRONTS)
    return CollatedFront(modality) if make is None else make(modality)
