"""What a hidden patch of a class map is asked for: the class of each of its pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.image.labels import LabelPatches
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMap:
    """The class ids of a token's pixels, -1 where unknown; for `class_map_cross_entropy`.

    Known where at least one pixel of the token is. MultiMAE, https://arxiv.org/abs/2204.01678.
    """

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        """A logit per pixel and class, the classes of one pixel side by side."""
        return modality.num_values * _labels(modality).num_classes

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return (tokens.values >= 0).any(dim=-1) & tokens.scorable

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        return tokens.values.float()

    def restore(
        self, predicted: Float[Tensor, "b n p"], tokens: Tokens, /
    ) -> Float[Tensor, "b n v"] | None:
        """The likeliest class of each pixel, also where the truth is unknown."""
        return _per_pixel(predicted, tokens.values.shape[-1]).argmax(dim=-1).float()

    @property
    def restores_with(self) -> str:
        return ""


def class_map_cross_entropy(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Mean cross-entropy over a token's known pixels; zero, without a gradient, if it has none.

    `truth` has the class ids of t pixels, below 0 where unknown; `predicted` t times the logits of
    p / t classes.
    """
    known = truth >= 0
    log_shares = _per_pixel(predicted.float(), truth.shape[-1]).log_softmax(dim=-1)
    ids = truth.clamp_min(0).long()[..., None]
    losses = torch.where(known, -log_shares.gather(-1, ids).squeeze(-1), 0.0)
    return losses.sum(dim=-1) / known.sum(dim=-1).clamp_min(1)


def _per_pixel(logits: Float[Tensor, "r n p"], num_pixels: int) -> Float[Tensor, "r n t k"]:
    return rearrange(logits, "r n (t k) -> r n t k", t=num_pixels)


def _labels(modality: Modality) -> LabelPatches:
    if isinstance(modality, LabelPatches):
        return modality
    raise RecipeError(
        f"ClassMap is a target of class maps, got the modality {modality.name!r} "
        f"({type(modality).__name__}); use Content for it, or LabelPatches for the modality"
    )
