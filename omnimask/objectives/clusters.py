"""OnlineClusters: a teacher's tokens assigned to prototypes that are trained alongside."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.objectives.code_usage import count_codes, measure_usage
from omnimask.objectives.objective import TemperedCrossEntropy
from omnimask.objectives.sinkhorn import sinkhorn
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import TeacherOutput, Tokens

_MAX_TOKENS = 2048  # an even choice of them for the mean entropy, whose cost is tokens * prototypes


@dataclass(frozen=True, kw_only=True, slots=True)
class OnlineClusters:
    """Assignment probabilities of the teacher's tokens to `num_prototypes` clusters.

    CAPI, https://arxiv.org/abs/2502.08769, section 3.2, with the official configuration as
    defaults. Tokens are scaled to length one and scored by a linear layer with bias; Sinkhorn over
    scores / `teacher_temperature` makes the target, and the soft cross-entropy of the scores /
    `student_temperature` with it trains the layer alone. With `position_wise` every position of the
    grid is balanced over the batch by itself; say False where a token's number in the sequence
    means nothing, as for points. A prediction is compared by `TemperedCrossEntropy`.

    `layer`: 0 is the teacher's normalised output, -1 its last block's, -2 that before.
    The scores are computed in fp32, where the official code has bf16.
    """

    layer: int = 0
    num_prototypes: int = 16384
    position_wise: bool = True
    iterations: int = 3
    teacher_temperature: float = 0.06
    student_temperature: float = 0.12

    def __post_init__(self) -> None:
        if self.layer > 0:
            raise RecipeError(
                f"OnlineClusters.layer counts the teacher's blocks from the last (-1), or is 0 for "
                f"its normalised output, got {self.layer}; write {-self.layer}"
            )
        if self.num_prototypes < 2:
            raise RecipeError(
                f"OnlineClusters.num_prototypes must be >= 2, got {self.num_prototypes}; "
                "write 16384"
            )
        if self.iterations < 1:
            raise RecipeError(
                f"OnlineClusters.iterations must be >= 1, got {self.iterations}; write 3"
            )
        for name, value, usual in (
            ("teacher_temperature", self.teacher_temperature, 0.06),
            ("student_temperature", self.student_temperature, 0.12),
        ):
            if not value > 0.0:
                raise RecipeError(f"OnlineClusters.{name} must be > 0, got {value}; write {usual}")

    @property
    def teacher_layers(self) -> tuple[TeacherOutput, ...]:
        return (self.layer,)

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return self.num_prototypes

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return tokens.valid

    def build(self, teacher_dim: int, /) -> nn.Module:
        return _Clusters(self, teacher_dim)


class _Clusters(nn.Module):
    def __init__(self, config: OnlineClusters, teacher_dim: int) -> None:
        super().__init__()
        self.config = config
        self.loss = TemperedCrossEntropy(temperature=config.student_temperature)
        self.prototypes = nn.Linear(teacher_dim, config.num_prototypes)
        nn.init.normal_(self.prototypes.weight)
        nn.init.zeros_(self.prototypes.bias)
        self._health: dict[str, Tensor] = {}

    def forward(
        self, tokens: Tokens, teacher: Sequence[Tensor]
    ) -> tuple[Float[Tensor, "b n k"], Float[Tensor, ""]]:
        valid = tokens.valid
        features = F.normalize(teacher[0].detach().float(), dim=-1, eps=1e-7)
        scores = self.prototypes(features)
        assigned = self._assign(scores, valid)
        losses = self.loss(scores, assigned)
        self._health = _measure(assigned, valid)
        return assigned, torch.where(valid, losses, 0.0).sum()

    def health(self) -> dict[str, Tensor]:
        """Of the last call, on this process: `entropy` of a token's assignment, on average;
        `mean_entropy`, of the mean assignment, log(num_prototypes) at best; and, counting for each
        token its first prototype, the share of prototypes `used` and their `perplexity`.
        """
        return self._health

    def _assign(
        self, scores: Float[Tensor, "b n k"], valid: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b n k"]:
        position_wise = self.config.position_wise
        assigned = sinkhorn(
            scores.transpose(0, 1) if position_wise else scores.flatten(0, 1),
            temperature=self.config.teacher_temperature,
            iterations=self.config.iterations,
            valid=valid.T if position_wise else valid.flatten(),
            # Only while training do all processes come by here; one alone may evaluate.
            over_ranks=self.training,
        )
        return assigned.transpose(0, 1) if position_wise else assigned.view_as(scores)


@torch.no_grad()
def _measure(assigned: Float[Tensor, "b n k"], valid: Bool[Tensor, "b n"]) -> dict[str, Tensor]:
    weight = valid.flatten().float()
    rows = assigned.flatten(0, 1)
    step = -(-len(rows) // _MAX_TOKENS)
    entropies = torch.special.entr(rows[::step]).sum(dim=-1)  # zero where a row is not valid
    mean = rows.sum(dim=0) / weight.sum().clamp_min(1.0)
    counts = count_codes(rows.argmax(dim=-1), weight, num_codes=rows.shape[1])
    return {
        "entropy": entropies.sum() / weight[::step].sum().clamp_min(1.0),
        "mean_entropy": torch.special.entr(mean).sum(),
        **measure_usage(counts),
    }
