"""Objectives: which target a decoder predicts and by which loss; what the losses add up to.

Losses are per token, in fp32: `(predicted, truth) -> (r n)`. `Outcome` is the only place where they
are reduced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoded
from omnimask.objectives.heads import Head, LinearHead
from omnimask.objectives.late_targets import LateTarget
from omnimask.objectives.targets import Target, TrainedTarget


@runtime_checkable
class Loss(Protocol):
    """A function, or a frozen record with fields, `(predicted (r n p), truth (r n t)) -> (r n)`,
    in fp32.
    """

    def __call__(self, predicted: Tensor, truth: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """`decoder` and `head` predict `target` of `modality`'s tokens, and `loss` compares.

    `where`: at the tokens that were hidden, at those that were visible, or at all; the masker must
    put these tokens into the plan's predicted ids. `weight` multiplies the mean loss.
    """

    name: str
    modality: str
    target: Target | TrainedTarget | LateTarget
    loss: Loss
    decoder: str = "main"
    head: Head = field(default_factory=LinearHead)
    where: Literal["hidden", "visible", "all"] = "hidden"
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight >= 0.0:
            raise RecipeError(f"objective {self.name}: weight must be >= 0, got {self.weight}")

    def counted(self, encoded: Encoded) -> Bool[Tensor, "r n_predict"]:
        """Which predicted tokens the loss counts: those of the modality that `where` takes in and
        whose target is known. Needs neither a teacher nor the encoder's output.
        """
        plan = encoded.plan
        taken = encoded.predicts(self.modality)
        if self.where != "all":
            visible = plan.is_visible(encoded.layout.num_tokens).gather(1, plan.predict_ids)
            taken = taken & (visible if self.where == "visible" else ~visible)
        if isinstance(self.target, LateTarget):
            return taken & self.target.known(encoded)
        known = self.target.known(encoded.view.tokens[self.modality])
        return taken & encoded.at_predicted(known, self.modality)

    def losses(
        self,
        predicted: Float[Tensor, "r n_predict p"],
        truth: Float[Tensor, "r n_predict t"],
        counted: Bool[Tensor, "r n_predict"],
    ) -> Float[Tensor, "r n_predict"]:
        """The loss at every predicted token in fp32, zero where it is not counted."""
        with torch.autocast(predicted.device.type, enabled=False):
            losses = self.loss(predicted.float(), truth.float())
        return torch.where(counted, losses, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossSum:
    """The sum of an objective's per-token losses and the number of tokens in it."""

    total: Float[Tensor, ""]
    count: Float[Tensor, ""]

    def __add__(self, other: "LossSum") -> "LossSum":
        return LossSum(total=self.total + other.total, count=self.count + other.count)


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What comes of a batch: by objective the sum of its losses, how many tokens went through the
    encoder, and, if they are wanted, scalars that say how healthy the features are.

    The loss that a part has for itself (a codebook, prototypes) stands among the sums as
    "own/<name>".
    """

    sums: dict[str, LossSum] = field(default_factory=dict)
    num_tokens: int = 0
    health: dict[str, Tensor] = field(default_factory=dict)

    def add(self, name: str, total: Float[Tensor, ""], count: Float[Tensor, ""] | int) -> None:
        """Adds the losses of `count` tokens to what is there under this name."""
        if isinstance(count, int):
            count = torch.full_like(total, float(count))
        part = LossSum(total=total, count=count)
        self.sums[name] = self.sums[name] + part if name in self.sums else part

    def add_batch(self, other: "Outcome") -> None:
        """Adds the outcome of another batch, without its gradients; the last health stays."""
        for name, part in other.sums.items():
            self.add(name, part.total.detach(), part.count)
        self.num_tokens += other.num_tokens
        self.health = other.health

    @property
    def counts(self) -> dict[str, Tensor]:
        return {name: part.count for name, part in self.sums.items()}

    def loss(
        self, weights: Mapping[str, float], counts: Mapping[str, Tensor] | None = None
    ) -> Float[Tensor, ""]:
        """Σ weight · sum / count; `counts` are those of the whole step, over all ranks and batches,
        where it has more than this one.

        An objective with nothing to predict adds zero: its sum is zero and the divisor at least
        one. What `weights` does not name (a part's own loss) has weight 1.
        """
        counts = self.counts if counts is None else counts
        terms = [
            weights.get(name, 1.0) * part.total / counts[name].clamp_min(1.0)
            for name, part in self.sums.items()
        ]
        return torch.stack(terms).sum()


def mse(predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]) -> Float[Tensor, "r n"]:
    """Mean squared error over a token's values."""
    return (predicted - truth).square().mean(dim=-1)


def l1(predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]) -> Float[Tensor, "r n"]:
    """Mean absolute error over a token's values."""
    return (predicted - truth).abs().mean(dim=-1)


def smooth_l1(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Mean Huber-like error over a token's values, quadratic below 1."""
    return F.smooth_l1_loss(predicted, truth, reduction="none").mean(dim=-1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SmoothL1:
    """As `smooth_l1`, quadratic below `beta`, where it has the value beta / 2."""

    beta: float = 1.0

    def __post_init__(self) -> None:
        if not self.beta > 0.0:
            raise RecipeError(f"SmoothL1.beta must be > 0, got {self.beta}; write 1.0")

    def __call__(
        self, predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"], /
    ) -> Float[Tensor, "r n"]:
        errors = F.smooth_l1_loss(predicted, truth, reduction="none", beta=self.beta)
        return errors.mean(dim=-1)


def cross_entropy(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Cross-entropy of p logits; truth has t = 1 class index, or t = p probabilities."""
    if truth.shape[-1] == 1:
        classes = truth.squeeze(-1).long()
        return F.cross_entropy(predicted.transpose(1, 2), classes, reduction="none")
    return -(truth * predicted.log_softmax(dim=-1)).sum(dim=-1)


def bce(predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]) -> Float[Tensor, "r n"]:
    """Binary cross-entropy of logits, averaged over a token's values; truth in [0, 1]."""
    return F.binary_cross_entropy_with_logits(predicted, truth, reduction="none").mean(dim=-1)


def cosine(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """1 - cosine similarity, in [0, 2] (BEiT v2's tokenizer, https://arxiv.org/abs/2208.06366,
    section 2.2).
    """
    return 1.0 - F.cosine_similarity(predicted, truth, dim=-1)


def ranking(
    predicted: Float[Tensor, "r n 1"], truth: Float[Tensor, "r n 2"]
) -> Float[Tensor, "r n"]:
    """Is a token harder than the others of its row? HPM, https://arxiv.org/abs/2304.05919,
    section 3.2, relative loss.

    `truth` is a token's own loss and 1 where it counts, else 0. A token's result is the mean, over
    the counted tokens whose loss is not the same, of the binary cross-entropy of the logit
    p_i - p_j with [loss_i > loss_j]; 0 for a token that does not count or has none to compare with.
    Where rows count equally many tokens, and no losses are equal, the mean over tokens is the
    official mean over pairs (which adds 1e-6 within its logarithms).
    """
    losses, counted = truth[..., 0], truth[..., 1] > 0
    harder = losses[:, :, None] > losses[:, None, :]
    easier = losses[:, :, None] < losses[:, None, :]
    pairs = (harder | easier) & counted[:, :, None] & counted[:, None, :]
    difference = predicted - predicted.transpose(1, 2)
    errors = F.binary_cross_entropy_with_logits(difference, harder.float(), reduction="none")
    total = torch.where(pairs, errors, 0.0).sum(dim=2)
    return total / pairs.sum(dim=2).clamp_min(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TemperedCrossEntropy:
    """Cross-entropy of logits / `temperature` with a truth of p probabilities.

    CAPI, https://arxiv.org/abs/2502.08769; the truth is that of `OnlineClusters`, the logits are
    those of a `CosineHead`.
    """

    temperature: float = 0.12

    def __post_init__(self) -> None:
        if not self.temperature > 0.0:
            raise RecipeError(
                f"TemperedCrossEntropy.temperature must be > 0, got {self.temperature}; write 0.12"
            )

    def __call__(
        self, predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n p"], /
    ) -> Float[Tensor, "r n"]:
        return -(truth * (predicted / self.temperature).log_softmax(dim=-1)).sum(dim=-1)
