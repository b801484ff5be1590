"""Images and clips, seen from outside: what other libraries' models take as pixels.

A modality is one of these by what it has, not by its name, so that a copy of it is one too.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.data.pixels import as_unit
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Raw, grid_coords
from omnimask.transfer.exporting.requirements import ANY
from omnimask.transfer.pretrained_encoder import PretrainedEncoder


@runtime_checkable
class Picture(Protocol):
    """Patches (rows, columns) of an image of `size`; raw is `pixels` (b c h w)."""

    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def patch(self) -> tuple[int, int]: ...
    @property
    def num_channels(self) -> int: ...
    @property
    def mean(self) -> tuple[float, ...] | None: ...
    @property
    def std(self) -> tuple[float, ...] | None: ...


@runtime_checkable
class Clip(Protocol):
    """Tubelets (frames, rows, columns) of `num_frames` frames; raw is `frames` (b t c h w)."""

    @property
    def num_frames(self) -> int: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def tubelet(self) -> tuple[int, int, int]: ...
    @property
    def mean(self) -> tuple[float, ...] | None: ...
    @property
    def std(self) -> tuple[float, ...] | None: ...


def statistics(
    modality: Picture | Clip, *, name: str, of: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation per channel; RecipeError where each sample has its own."""
    if modality.mean is None or modality.std is None:
        raise RecipeError(
            f"{of} normalises all samples by one mean and std, and {name!r} has none (every sample "
            f"is normalised by itself, or fit was never called); {ANY}"
        )
    return modality.mean, modality.std


def pixels_in(modality: Modality, raw: Raw) -> Float[Tensor, "b *t c h w"]:
    """The pixels of collated samples, in [0, 1]."""
    pixels = raw["pixels" if isinstance(modality, Picture) else "frames"]
    assert isinstance(pixels, Tensor)
    return as_unit(pixels)


def normalise(
    pixels: Float[Tensor, "b *t c h w"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "b *t c h w"]:
    """Each channel minus its mean, over its deviation."""
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def patch_convolution(
    encoder: PretrainedEncoder, modality: Modality, *, num_channels: int
) -> tuple[Tensor, Tensor]:
    """Weight (d c *patch) and bias of the convolution that equals the linear embedding, whose
    pixels have the channels fastest.
    """
    embedding = encoder.backbone.contents.embeddings[modality.name]
    if not isinstance(embedding, nn.Linear):
        raise RecipeError(
            f"{modality.name!r} is embedded by a {type(embedding).__name__}, not by one linear "
            f"layer, which is what a patch convolution can hold; {ANY}"
        )
    patch = modality.patch if isinstance(modality, Picture) else _tubelet(modality)
    weight = embedding.weight.detach().unflatten(1, (*patch, num_channels)).movedim(-1, 1)
    return weight.contiguous(), embedding.bias.detach()


def place_vectors(encoder: PretrainedEncoder, modality: Modality) -> Float[Tensor, "n d"]:
    """What is added to each patch: its position embedding and the modality's vector."""
    grid = modality.grid
    assert grid is not None, "pictures and clips have a grid"
    places = encoder.backbone.places
    coords = grid_coords(grid, encoder.device)
    with torch.no_grad():
        positions = places.positions[modality.name](coords)
        return positions + places.modalities[modality.name]


def _tubelet(modality: Modality) -> tuple[int, int, int]:
    assert isinstance(modality, Clip)
    return modality.tubelet
