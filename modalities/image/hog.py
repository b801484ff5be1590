"""Histograms of oriented gradients as targets: what edges a patch has, not its pixels.

HOG, https://doi.org/10.1109/CVPR.2005.177, as LocalMIM has it (https://arxiv.org/abs/2303.05251,
section 3.3; its official code's `HOGLayer`): per colour channel, Sobel gradients with a reflected
border, orientations without sign, each pixel's whole magnitude in one bin, means over cells, every
cell's histogram scaled to length one. A channel's brightness and contrast change nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.image.modality import ImagePatches
from omnimask.data.pixels import unpatchify
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Hog:
    """The histograms of a token's cells of `cell` by `cell` pixels, or of the one it lies in.

    A patch is cut into halves, quarters, ... per axis; its cells stand one after another as
    `SubCells` predicts them. A cell may also be larger than a patch; then all its patches have the
    same histogram. Of each cell the channels' histograms of `bins` one after another.

    MaskFeat's (https://arxiv.org/abs/2112.09133) and FG-MAE's layer has two things more: `window`
    weighs gradients by a Gaussian in every square of so many pixels, its deviation half of that;
    `norm` "token" subtracts a token's mean and divides by its deviation, as MAE does it to pixels.
    """

    cell: int = 8
    bins: int = 9
    window: int | None = None
    norm: Literal["none", "token"] = "none"

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        image = _image(modality)
        return self._cells(image) ** 2 * image.num_channels * self.bins

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        return tokens.scorable

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        image = _image(modality)
        grid = (1, image.grid["h"], image.grid["w"])
        pixels = unpatchify(tokens.values.float(), (1, *image.patch), grid)[:, 0]
        first, second = sobel(pixels)
        if self.window is not None:
            weights = _gaussian(self.window, like=pixels)
            first, second = first * weights, second * weights
        histograms = cell_histograms(first, second, cell=self.cell, bins=self.bins)
        values = _of_tokens(histograms, (grid[1], grid[2]), halvings=self._halvings(image))
        if self.norm == "none":
            return values
        variance, mean = torch.var_mean(values, dim=-1, keepdim=True)
        return (values - mean) / (variance + 1e-6).sqrt()

    def _cells(self, image: ImagePatches) -> int:
        """How many stand along each axis of a patch, at least one."""
        return 2 ** self._halvings(image)

    def _halvings(self, image: ImagePatches) -> int:
        rows, columns = image.patch
        halvings = max(rows // max(self.cell, 1), 1).bit_length() - 1
        fits = self.cell * 2**halvings == rows or (self.cell > rows and self.cell % rows == 0)
        if (
            rows != columns
            or not fits
            or min(image.size) % self.cell
            or max(image.size) % self.cell
        ):
            raise RecipeError(
                f"Hog.cell={self.cell} must be a patch of {image.patch} pixels, halves, quarters "
                f"or a multiple of it, and divide the size {image.size}; write cell={rows}"
            )
        return halvings


def _gaussian(window: int, *, like: Float[Tensor, "b c h w"]) -> Float[Tensor, "h w"]:
    """The same in every square of the picture; its scale has no part in a histogram."""
    places = torch.arange(window, device=like.device, dtype=like.dtype) - (window - 1) / 2
    along = torch.exp(-0.5 * (places / (window // 2)) ** 2)
    repeats = [-(-side // window) for side in like.shape[-2:]]
    rows, columns = (along.repeat(n)[:side] for n, side in zip(repeats, like.shape[-2:]))
    return rows[:, None] * columns[None, :]


def sobel(pixels: Float[Tensor, "b c h w"]) -> tuple[Tensor, Tensor]:
    """The gradients along columns and along rows."""
    kernel = pixels.new_tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    padded = F.pad(pixels.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="reflect")
    both = F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None])
    along = both.unflatten(0, pixels.shape[:2])
    return along[:, :, 0], along[:, :, 1]


def cell_histograms(
    first: Float[Tensor, "b c h w"], second: Float[Tensor, "b c h w"], *, cell: int, bins: int
) -> Float[Tensor, "b c bins y x"]:
    """Of the orientation atan2(first, second) modulo half a turn; scaled to length one."""
    magnitude = torch.hypot(first, second)
    numbers = (torch.atan2(first, second) / math.pi * bins).floor().long() % bins
    votes = magnitude.new_zeros(*magnitude.shape[:2], bins, *magnitude.shape[2:])
    votes.scatter_(2, numbers[:, :, None], magnitude[:, :, None])
    means = F.avg_pool2d(votes.flatten(0, 1), cell).unflatten(0, magnitude.shape[:2])
    return F.normalize(means, dim=2)


def _of_tokens(
    histograms: Float[Tensor, "b c bins y x"], grid: tuple[int, int], *, halvings: int
) -> Float[Tensor, "b n t"]:
    """Cell by cell as `SubCells` has them; of cells larger than a token each token its own."""
    of_cells = histograms.flatten(1, 2).movedim(1, -1)  # b y x (c bins)
    rows, columns = grid
    if of_cells.shape[1] < rows:
        larger = rows // of_cells.shape[1]
        of_cells = of_cells.repeat_interleave(larger, dim=1).repeat_interleave(larger, dim=2)
    halves = (2,) * halvings
    split = of_cells.unflatten(2, (columns, *halves)).unflatten(1, (rows, *halves))
    first, second = 2, 3 + halvings  # the first halving of rows, and of columns
    pairs = chain.from_iterable((first + k, second + k) for k in range(halvings))
    ordered = split.permute(0, 1, 2 + halvings, *pairs, split.ndim - 1)
    return ordered.flatten(1, 2).flatten(2)


def _image(modality: Modality) -> ImagePatches:
    if isinstance(modality, ImagePatches):
        return modality
    raise RecipeError(
        f"Hog is a target of pictures, got the modality {modality.name!r} "
        f"({type(modality).__name__}); use Content for it"
    )
