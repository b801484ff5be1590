"""What a hidden voxel is asked for: its points, their number, and whether there are any.

The three targets of Voxel-MAE, https://arxiv.org/abs/2207.00531, section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.voxels.modality import VoxelGrid
from modalities.voxels.values import VoxelValues
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class VoxelPoints:
    """Places of `num_points` points for `masked_chamfer`; known where the voxel is occupied.

    The paper's code predicts 10. Truth is the x y z of all k kept points, from the centre in
    [-1, 1] wall to wall, then their k flags.
    """

    num_points: int = 10

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        _require_voxels(modality, "VoxelPoints")
        return 3 * self.num_points

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return _occupied(tokens) & tokens.scorable

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        voxels = VoxelValues.of(tokens.values.float())
        return torch.cat([voxels.places.flatten(-2), voxels.ok.float()], dim=-1)

    def restore(
        self, predicted: Float[Tensor, "b n p"], tokens: Tokens, /
    ) -> Float[Tensor, "b n v"] | None:
        """Predicted points in the first slots of truly occupied voxels, without intensities; those
        beyond the slots of a voxel are left out."""
        voxels = VoxelValues.of(tokens.values)
        places, ok = torch.zeros_like(voxels.places), torch.zeros_like(voxels.ok)
        guessed = predicted.to(places.dtype).unflatten(-1, (-1, 3))
        used = min(guessed.shape[-2], places.shape[-2])
        ok[..., :used] = voxels.occupied[..., None]
        places[..., :used, :] = guessed[..., :used, :] * voxels.occupied[..., None, None]
        intensity = torch.zeros_like(voxels.intensity)
        return replace(voxels, places=places, ok=ok, intensity=intensity).packed()

    @property
    def restores_with(self) -> str:
        return "which voxels are occupied"


@dataclass(frozen=True, kw_only=True, slots=True)
class VoxelCount:
    """The number of points in the voxel before any was left out, for `smooth_l1`.

    `scale`: "log" is log(1 + number); "linear" the number, as in the paper, which the few voxels
    near the sensor dominate. `where`: known in occupied voxels, as in the paper, or in empty ones
    too, where it is 0.
    """

    scale: Literal["log", "linear"] = "log"
    where: Literal["occupied", "all"] = "occupied"

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        _require_voxels(modality, "VoxelCount")
        return 1

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return tokens.scorable if self.where == "all" else tokens.scorable & _occupied(tokens)

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        voxels = VoxelValues.of(tokens.values.float())
        count = voxels.log_count if self.scale == "log" else voxels.log_count.expm1()
        return count[..., None]


@dataclass(frozen=True, kw_only=True, slots=True)
class VoxelOccupied:
    """1 for an occupied voxel, 0 for an empty cell that is asked about; for `bce`. Not drawn."""

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        _require_voxels(modality, "VoxelOccupied")
        return 1

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return tokens.scorable

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        return _occupied(tokens)[..., None].float()


def _occupied(tokens: Tokens) -> Bool[Tensor, "b n"]:
    return VoxelValues.of(tokens.values.float()).occupied


def _require_voxels(modality: Modality, target: str) -> None:
    if not isinstance(modality, VoxelGrid):
        raise RecipeError(
            f"{target} is a target of voxels, got the modality {modality.name!r} "
            f"({type(modality).__name__}); use Content for it"
        )
