"""What a hidden token is asked for: computed for every token, before masking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import TeacherOutput, Tokens


@runtime_checkable
class TargetRecord(Protocol):
    """What all targets say of themselves; frozen dataclasses, part of a recipe.

    There are three kinds: a `Target` is computed from the unmasked tokens, a `TrainedTarget` too
    but by a module with weights of its own, a `LateTarget` from what the step has just predicted.
    Each says with `known` where it has a value, which needs neither teacher nor weights, so that
    losses can be counted ahead of a step.
    """

    @property
    def teacher_layers(self) -> tuple[TeacherOutput, ...]:
        """The teacher's outputs it reads: its blocks counted from the last (-1), 0 for the
        normalised output, "codes" for the codes of a teacher that has a codebook.
        """
        ...

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        """The width `p` of the prediction that the loss takes."""
        ...


@runtime_checkable
class Restoring(Protocol):
    """A target whose predictions can be drawn, beside what it is otherwise."""

    def restore(
        self, predicted: Float[Tensor, "b n p"], tokens: Tokens, /
    ) -> Float[Tensor, "b n v"] | None:
        """Predictions for every token as token values; None where this one cannot."""
        ...

    @property
    def restores_with(self) -> str:
        """What `restore` takes from the ground truth, said beside a picture; "" if nothing."""
        ...


@runtime_checkable
class Target(TargetRecord, Protocol):
    """Computed from the unmasked tokens of one modality of one group, under `no_grad`."""

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        """Where there is a value to compare with: the number of points in an empty voxel is known,
        their places are not. A loss is counted at known, scorable tokens only.
        """
        ...

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        """The values of every token. `teacher` has its outputs (b n d) for these tokens, one for
        each of `teacher_layers`, in that order (codes as whole numbers with d = 1).
        """
        ...


@runtime_checkable
class TrainedTarget(TargetRecord, Protocol):
    """A target with weights. The module that `build` makes is called as
    `module(tokens, teacher) -> (values, own)`, `own` being the sum over the modality's valid tokens
    of the loss that trains the module; no gradient reaches the teacher or the encoder through it.
    """

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]: ...

    def build(self, teacher_dim: int, /) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """The token's own values, as they are or normalised.

    `norm`: "none"; "token" subtracts the mean and divides by the standard deviation of all of a
    token's values (MAE, https://arxiv.org/abs/2111.06377, section 3, with its eps 1e-6 on the
    unbiased variance); "channel" does so for each of `num_channels` interleaved channels of a token
    (VideoMAE, https://arxiv.org/abs/2203.12602: deviation plus 1e-6, there of pixels in [0, 1],
    here of pixels over their channel's deviation). `part`: only the first of so many equal parts
    of the values, such as one of the two frames of a tubelet.
    """

    norm: Literal["none", "token", "channel"] = "none"
    num_channels: int = 1
    part: int = 1

    @property
    def teacher_layers(self) -> tuple[TeacherOutput, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        if self.part < 1 or modality.num_values % self.part:
            raise RecipeError(
                f"Content(part={self.part}) must divide the {modality.num_values} values of a "
                f"{modality.name} token; write part=1 for all of them"
            )
        if self.norm == "channel" and modality.num_values % self.num_channels:
            raise RecipeError(
                f"Content(norm='channel', num_channels={self.num_channels}) does not divide the "
                f"{modality.num_values} values of a {modality.name} token; set num_channels to the "
                "number of channels of that modality"
            )
        return modality.num_values // self.part

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return tokens.scorable

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        values = tokens.values[..., : tokens.values.shape[-1] // self.part].float()
        if self.norm == "none":
            return values
        parts, mean, deviation = self._statistics(values)
        return ((parts - mean) / deviation).reshape(values.shape)

    def restore(
        self, predicted: Float[Tensor, "b n p"], tokens: Tokens, /
    ) -> Float[Tensor, "b n v"] | None:
        if self.norm != "none":
            values = tokens.values[..., : tokens.values.shape[-1] // self.part].float()
            parts, mean, deviation = self._statistics(values)
            predicted = (predicted.reshape(parts.shape) * deviation + mean).reshape(predicted.shape)
        return predicted if self.part == 1 else predicted.repeat(1, 1, self.part)

    @property
    def restores_with(self) -> str:
        return "" if self.norm == "none" else f"each hidden {self.norm}'s own mean and deviation"

    def _statistics(self, values: Float[Tensor, "b n v"]) -> tuple[Tensor, Tensor, Tensor]:
        """The values cut into what is normalised apart (b n k c), its mean and its deviation."""
        parts = values.unflatten(-1, (-1, self.num_channels if self.norm == "channel" else 1))
        variance, mean = torch.var_mean(parts, dim=-2, keepdim=True)
        if self.norm == "token":
            return parts, mean, (variance + 1e-6).sqrt()
        return parts, mean, variance.sqrt() + 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherFeatures:
    """Features of the teacher, each layer normalised, then averaged.

    Layers are its blocks counted from the last (-1), or 0 for its normalised output. `layers=(0,)`
    with `norm="layer"` is V-JEPA's target (https://arxiv.org/abs/2404.08471, section 3.2, where the
    official code takes the output of the final norm); several layers with `norm="instance"` on each
    before the average is data2vec 2.0's (https://arxiv.org/abs/2212.07525, section 3.3): there each
    feature is normalised over the sample's tokens. `layer_norm_mean` normalises each token of the
    average too, as data2vec 2.0 does for images (`layer_norm_targets` in its configuration).
    """

    layers: Sequence[int] = (-1,)
    norm: Literal["none", "layer", "instance"] = "layer"
    layer_norm_mean: bool = False

    @property
    def teacher_layers(self) -> tuple[TeacherOutput, ...]:
        return tuple(self.layers)

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return teacher_dim

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return tokens.valid

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        layers = [self._normalise(layer.float(), tokens.valid) for layer in teacher]
        mean = torch.stack(layers).mean(dim=0)
        return F.layer_norm(mean, mean.shape[-1:]) if self.layer_norm_mean else mean

    def _normalise(self, features: Tensor, valid: Tensor) -> Tensor:
        if self.norm == "layer":
            return F.layer_norm(features, features.shape[-1:])
        if self.norm == "instance":
            weight = valid[:, :, None].float()
            count = weight.sum(dim=1, keepdim=True).clamp_min(1.0)
            mean = (features * weight).sum(dim=1, keepdim=True) / count
            variance = ((features - mean).square() * weight).sum(dim=1, keepdim=True) / count
            return (features - mean) / (variance + 1e-5).sqrt()
        return features


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherCodes:
    """The code of each token in the codebook of a frozen teacher, for `cross_entropy`.

    BEiT v2, https://arxiv.org/abs/2208.06366, section 2.3.
    """

    num_codes: int = 8192

    @property
    def teacher_layers(self) -> tuple[TeacherOutput, ...]:
        return ("codes",)

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return self.num_codes

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return tokens.valid

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        return teacher[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pooled:
    """The mean of another target over a sample's known tokens, the same for each of its tokens.

    With ClassTokenDecoder this is a loss on [CLS]: data2vec 2.0, https://arxiv.org/abs/2212.07525,
    section 3.
    """

    target: Target

    @property
    def teacher_layers(self) -> tuple[TeacherOutput, ...]:
        return self.target.teacher_layers

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return self.target.num_predicted(modality, teacher_dim)

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return self.target.known(tokens)

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        values = self.target(modality, tokens, teacher)
        weight = self.known(tokens)[:, :, None].to(values.dtype)
        mean = (values * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1.0)
        return mean[:, None].expand_as(values)
