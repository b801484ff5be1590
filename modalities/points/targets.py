"""What a hidden group is asked for."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from modalities.points.tokens import PointGroups
from omnimask.errors import RecipeError
from omnimask.modality import Modality
from omnimask.targets import Truth, View
from omnimask.tokens import Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupPoints:
    """The places of a group's points relative to its centre, a set for the Chamfer losses.

    The target of Point-MAE, https://arxiv.org/abs/2203.06604, section 3.3. `num_points` is how many
    points are predicted, as many as the group has if None. Colours and normals are not predicted;
    without them this is `Content()`.
    """

    num_points: int | None = None

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return 3 * (self.num_points or _groups(modality).group_size)

    def __call__(self, view: View, /) -> Truth:
        places = view.tokens.values[..., : 3 * _groups(view.modality).group_size]
        return Truth(values=places.float(), known=view.tokens.scorable)

    def restore(
        self, predicted: Float[Tensor, "b n p"], tokens: Tokens, /
    ) -> Float[Tensor, "b n v"] | None:
        """Predicted places, with features of zero; None where `num_points` is set."""
        if self.num_points is not None:
            return None
        values = torch.zeros_like(tokens.values)
        values[..., : predicted.shape[-1]] = predicted.to(values.dtype)
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
