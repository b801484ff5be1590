"""Normalised differences of two channels as targets: what a satellite's bands say of the ground."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.image.modality import ImagePatches
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Tokens

_LEAST = 1e-6  # of the sum of two channels


@dataclass(frozen=True, kw_only=True, slots=True)
class BandIndex:
    """(a - b) / (a + b) of each pair of channels (a, b), pixel by pixel, normalised per token.

    Vegetation, water and built-up land (NDVI, NDWI, NDBI) are such indices of near infrared and
    red, green and near infrared, short-wave and near infrared: FG-MAE,
    https://arxiv.org/abs/2310.18653. Of the channels as they are in the file, not standardised,
    since a common gain then changes nothing; zero where both are. Normalising subtracts a token's
    mean and divides by its deviation, as MAE does it.
    """

    pairs: tuple[tuple[int, int], ...]

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        image = _image(modality)
        if not all(0 <= band < image.num_channels for pair in self.pairs for band in pair):
            raise RecipeError(
                f"BandIndex.pairs={self.pairs} must name channels of {image.name}, 0 to "
                f"{image.num_channels - 1}"
            )
        return image.patch[0] * image.patch[1] * len(self.pairs)

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return tokens.scorable

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        image = _image(modality)
        pixels = rearrange(tokens.values.float(), "b n (p c) -> b n p c", c=image.num_channels)
        bands = [pixels[..., band] * std + mean for band, (mean, std) in enumerate(_scales(image))]
        indices = [_ratio(bands[a], bands[b]) for a, b in self.pairs]
        values = torch.stack(indices, dim=-1).flatten(2)
        variance, mean = torch.var_mean(values, dim=-1, keepdim=True)
        return (values - mean) / (variance + 1e-6).sqrt()


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    total = a + b
    return torch.where(total.abs() > _LEAST, (a - b) / total.clamp_min(_LEAST), 0.0)


def _scales(image: ImagePatches) -> list[tuple[float, float]]:
    assert image.mean is not None, "fitted before the first step"
    assert image.std is not None
    return list(zip(image.mean, image.std, strict=True))


def _image(modality: Modality) -> ImagePatches:
    if isinstance(modality, ImagePatches) and modality.standardise == "fitted":
        return modality
    raise RecipeError(
        f"BandIndex is a target of pictures with standardise='fitted', got {modality.name!r} "
        f"({type(modality).__name__})"
    )
