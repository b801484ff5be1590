"""What a hidden group is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.points.tokens import PointGroups
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupPoints:
    """The places of a group's points relative to its centre, a set for the Chamfer losses.

    The target of Point-MAE, https://arxiv.org/abs/2203.06604, section 3.3. `num_points` is how many
    points are predicted, as many as the group has if None. Colours and normals are not predicted;
    without them, and with `unit` 1, this is `Content()`.

    `unit` is the length that counts as one. A head's first predictions are of order one, but the
    points of a small group lie 0.1 to 0.2 from its centre: with `unit=1.0`, as in Point-MAE, the
    first hundred steps go into shrinking the predictions. With the typical distance per axis as
    unit they do not, and squared Chamfer losses are of order one too.
    """

    num_points: int | None = None
    unit: float = 1.0

    def __post_init__(self) -> None:
        if not self.unit > 0.0:
            raise RecipeError(
                f"GroupPoints unit must be > 0, got {self.unit}; write the typical distance of a "
                "point from its group's centre along one axis, such as 0.15"
            )

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return 3 * (self.num_points or _groups(modality).group_size)

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return tokens.scorable

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        places = tokens.values[..., : 3 * _groups(modality).group_size]
        return places.float() / self.unit

    def restore(
        self, predicted: Float[Tensor, "b n p"], tokens: Tokens, /
    ) -> Float[Tensor, "b n v"] | None:
        """Predicted places, with features of zero; None where `num_points` is set."""
        if self.num_points is not None:
            return None
        values = torch.zeros_like(tokens.values)
        values[..., : predicted.shape[-1]] = (predicted * self.unit).to(values.dtype)
        return values

    @property
    def restores_with(self) -> str:
        return ""


def _groups(modality: Modality) -> PointGroups:
    if not isinstance(modality, PointGroups):
        raise RecipeError(
            f"GroupPoints is a target of point groups, got the modality {modality.name!r} "
            f"({type(modality).__name__}); use Content for it"
        )
    return modality
