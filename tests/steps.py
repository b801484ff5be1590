"""What a step makes on its way, for tests."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from omnimask.network.encoder import Encoded
from omnimask.objectives.targets import Target
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Group, Tokens
from omnimask.training.step import MaskedModel


class Truth(NamedTuple):
    values: Tensor
    known: Tensor


def truth_of(target: Target, modality: Modality, tokens: Tokens, *teacher: Tensor) -> Truth:
    """The values of a target and where they are known."""
    return Truth(values=target(modality, tokens, teacher), known=target.known(tokens))


def encode(model: MaskedModel, batch: Sequence[Group]) -> list[Encoded]:
    """The groups under the masks of the first step."""
    views = model.views(batch)
    return model.encode(views, [model.masks(view, 0.0) for view in views])
