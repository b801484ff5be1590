"""Targets that are made from what the step itself has just predicted."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.network.encoder import Encoded
from omnimask.objectives.targets import TargetRecord
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import TeacherOutput


@runtime_checkable
class LateTarget(TargetRecord, Protocol):
    """A target at the predicted tokens only; objectives are evaluated in the recipe's order, so
    that one with a late target stands after those it reads.
    """

    @property
    def objective_read(self) -> str | None:
        """The objective whose losses it reads."""
        ...

    @property
    def decoder_read(self) -> str | None:
        """The decoder whose features it reads."""
        ...

    def known(self, encoded: Encoded, /) -> Bool[Tensor, "r n"]:
        """At the predicted tokens; where losses are counted ahead of a step, `encoded` has its plan
        and `counted` alone.
        """
        ...

    def values(self, encoded: Encoded, /) -> Float[Tensor, "r n t"]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LossOf:
    """Another objective's loss at each token, and 1 where that objective counts it, else 0.

    What a loss predictor learns: HPM, https://arxiv.org/abs/2304.05919, section 3.2. For the loss
    `ranking`, which needs to know which tokens to compare.
    """

    objective: str

    @property
    def objective_read(self) -> str | None:
        return self.objective

    @property
    def decoder_read(self) -> str | None:
        return None

    @property
    def teacher_layers(self) -> tuple[TeacherOutput, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return 1

    def known(self, encoded: Encoded, /) -> Bool[Tensor, "r n"]:
        return encoded.counted[self.objective]

    def values(self, encoded: Encoded, /) -> Float[Tensor, "r n t"]:
        counted = encoded.counted[self.objective]
        return torch.stack([encoded.losses[self.objective], counted.float()], dim=-1)


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherCopy:
    """A decoder's feature of the same token under the sample's other mask, for two copies.

    Known where both masks ask for the token: Point-CMAE, https://arxiv.org/abs/2407.05862. `width`
    is that of the decoder's features.
    """

    decoder: str = "main"
    width: int

    @property
    def objective_read(self) -> str | None:
        return None

    @property
    def decoder_read(self) -> str | None:
        return self.decoder

    @property
    def teacher_layers(self) -> tuple[TeacherOutput, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return self.width

    def known(self, encoded: Encoded, /) -> Bool[Tensor, "r n"]:
        plan = encoded.plan
        predicted = plan.is_predicted(encoded.layout.num_tokens)
        return plan.predict_ok & _partner(predicted).gather(1, plan.predict_ids)

    def values(self, encoded: Encoded, /) -> Float[Tensor, "r n t"]:
        plan, features = encoded.plan, encoded.features[self.decoder]
        ids = plan.predict_ids[:, :, None].expand_as(features)
        # Padded ids are 0; their rows are zeroed, so adding leaves token 0 as it is.
        real = torch.where(plan.predict_ok[:, :, None], features, 0.0)
        placed = real.new_zeros(real.shape[0], encoded.layout.num_tokens, real.shape[2])
        return _partner(placed.scatter_add_(1, ids, real)).gather(1, ids)


def _partner(values: Tensor) -> Tensor:
    """Row 2i for row 2i + 1 and the other way round: the two copies of a sample."""
    return values.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
