"""Images as square or oblong patches (MAE, https://arxiv.org/abs/2111.06377, section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from modalities.image.pictures import draw_image
from omnimask.data.pixels import (
    Channels,
    as_dtype,
    as_unit,
    check_channels,
    measure_channels,
    patchify,
    unpatchify,
)
from omnimask.foundation.errors import RecipeError
from omnimask.network.grid_modality import (
    adapt_grid_position,
    check_patches,
    continued_grid,
    grid_position,
    kept_mean_std,
    num_cells,
    patch_embedding,
)
from omnimask.network.resampling import Resampled, State, resample_linear
from omnimask.network.trained_axis import Axes, check_axes, extents
from omnimask.tokens.modality import Drawing, Modality, Sample, Source
from omnimask.tokens.tokens import Grid, Raw, Tokens, tensor_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePatches:
    """Patches of `patch` (rows, columns) pixels of an image of `size` (height, width) pixels.

    A token's values are its pixels row by row with the channels fastest (MAE's order), each channel
    minus `mean` over `std`; None measures them in `fit`, for values in [0, 1]. With `standardise`
    "each", every image has statistics of its own instead, per channel over the values between its
    lowest and highest tenth: depth in MultiMAE (https://arxiv.org/abs/2204.01678).
    `num_channels`: 1 grey, 3 RGB, 4 RGB and alpha, others as the files have them. Coordinates are
    (row, column) counted in patches. `positions`: fixed sines and cosines, or one learned vector
    per axis or ("table") per cell. `axes`: set by `adapt`, where the patches stand on the grid of
    pretraining.
    """

    name: str = "image"
    size: tuple[int, int] = (224, 224)
    patch: tuple[int, int] = (16, 16)
    num_channels: int = 3
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    standardise: Literal["fitted", "each"] = "fitted"
    positions: Literal["sincos", "learned", "table"] = "sincos"
    axes: Axes | None = None

    def __post_init__(self) -> None:
        if min(*self.size, *self.patch, self.num_channels) < 1:
            raise RecipeError(
                f"{self.name}: size, patch and num_channels must be positive, got {self.size}, "
                f"{self.patch} and {self.num_channels}"
            )
        check_patches(self.name, self.size, self.patch)
        if self.standardise == "each" and (self.mean is not None or self.std is not None):
            raise RecipeError(
                f"{self.name}: mean and std must be None where standardise is 'each', got "
                f"{self.mean} and {self.std}; write standardise='fitted' to use them"
            )
        check_channels(self.name, self.mean, self.std, num_channels=self.num_channels)
        check_axes(self.name, self.axes, self.grid)

    @property
    def grid(self) -> Grid:
        return {"h": self.size[0] // self.patch[0], "w": self.size[1] // self.patch[1]}

    @property
    def num_tokens(self) -> int:
        return num_cells(self.grid)

    @property
    def num_values(self) -> int:
        return self.patch[0] * self.patch[1] * self.num_channels

    @property
    def extent(self) -> tuple[float, ...]:
        return extents(self.axes, self.grid)

    def fit(self, source: Source, /) -> "ImagePatches":
        """With the mean and deviation of each channel over at most 256 images; itself if it has
        them or needs none."""
        if self.standardise == "each" or (self.mean is not None and self.std is not None):
            return self
        mean, std = measure_channels(source, "pixels", num_channels=self.num_channels)
        return replace(self, mean=self.mean or mean, std=self.std or std)

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """`pixels` (b c h w): uint8, or fp32 where one of the samples is."""
        pixels = [sample["pixels"] for sample in samples]
        if not all(image.dtype == torch.uint8 for image in pixels):
            pixels = [as_unit(image) for image in pixels]
        return {"pixels": torch.stack(pixels)}

    def split(self, raw: Raw, /) -> Tokens:
        pixels = tensor_of(raw, "pixels")
        standardised = self._channels(pixels).standardise(pixels)
        return Tokens.dense(patchify(standardised[:, None], (1, *self.patch)), grid=self.grid)

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """`pixels` in the type they have in `raw`; uint8 is rounded and cut off at 0 and 255."""
        pixels = tensor_of(raw, "pixels")
        grid = (1, self.grid["h"], self.grid["w"])
        standardised = unpatchify(values.float(), (1, *self.patch), grid)[:, 0]
        joined = self._channels(pixels).restore(standardised)
        return {"pixels": as_dtype(joined, pixels.dtype)}

    def embed(self, dim: int, /) -> nn.Module:
        return patch_embedding(self.num_values, dim)

    def position(self, dim: int, /) -> nn.Module:
        return grid_position(self, dim)

    def continued_from(self, old: Modality, /) -> tuple["ImagePatches", tuple[str, ...]]:
        """Its patches together cover what those of pretraining covered: the picture is resized."""
        assert isinstance(old, ImagePatches), "adapt compares the types"
        axes, _ = continued_grid(self, old)
        if self.standardise == "each":
            return replace(self, axes=axes), ()
        given, known = (self.mean, self.std), (old.mean, old.std)
        mean, std, lines = kept_mean_std(self.name, given, known, num_channels=self.num_channels)
        return replace(self, axes=axes, mean=mean, std=std), lines

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, ImagePatches), "adapt compares the types"
        before, after = (*old.patch, old.num_channels), (*self.patch, self.num_channels)
        return resample_linear(self.name, state, old=before, new=after)

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, ImagePatches), "adapt compares the types"
        return adapt_grid_position(self, old, state)

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        """Three pictures side by side; hidden patches are grey in the second."""
        pixels = tensor_of(raw, "pixels")[index]
        one = {"pixels": as_unit(pixels[None])}
        rebuilt = tensor_of(self.join(filled[index : index + 1].float(), one), "pixels")[0]
        return draw_image(pixels, rebuilt, visible=visible[index], patch=self.patch)

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """The picture, and its patches as squares."""
        from modalities.image.pictures import paint_patches, show_pixels

        cells = colors.unflatten(1, (self.grid["h"], self.grid["w"]))
        figure, first = paint_patches(cells, titles, aspect=self.size[0] / self.size[1])
        show_pixels(first, tensor_of(raw, "pixels")[index])
        return figure

    def _channels(self, pixels: Shaped[Tensor, "b c h w"]) -> Channels:
        if self.standardise == "each":
            return _trimmed_channels(as_unit(pixels))
        return Channels.of(self.name, self.mean, self.std, pixels.device)


def _trimmed_channels(pixels: Float[Tensor, "b c h w"]) -> Channels:
    """Mean and deviation of each image's channels without the lowest and the highest tenth.

    After MultiMAE's code (github.com/EPFL-VILAB/MultiMAE, run_pretraining_multimae.py): unbiased
    variance plus 1e-6.
    """
    ordered = pixels.flatten(2).sort(dim=2).values
    length = ordered.shape[2]
    middle = ordered[:, :, int(0.1 * length) : max(int(0.9 * length), int(0.1 * length) + 2)]
    variance, mean = torch.var_mean(middle, dim=2)
    mean, std = mean[:, :, None, None], (variance + 1e-6).sqrt()[:, :, None, None]
    return Channels(mean=mean, std=std)
