"""What pictures and videos share: crop boxes, resizing, channel statistics, patches of a grid.

Pixels are (b t c h w), an image having t = 1, and their values are floats in [0, 1] or uint8.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Shaped
from torch import Tensor

from omnimask.data.measuring import measured_samples
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Source

Interpolation = Literal["nearest", "bilinear", "bicubic"]

_CROP_TRIES = 10
_LEAST_STD = 1e-4  # of a channel that changes at all; 8-bit noise in one pixel of 1000 is above it


# Crop boxes


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle of pixels, inside its image."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, pixels: Shaped[Tensor, "*lead h w"]) -> Shaped[Tensor, "*lead y x"]:
        return pixels[..., self.top : self.top + self.height, self.left : self.left + self.width]


def center_box(height: int, width: int, *, aspect: float) -> Box:
    """The largest box in the middle with `aspect` = width / height."""
    rows = min(height, max(round(width / aspect), 1))
    columns = min(width, max(round(height * aspect), 1))
    return Box(top=(height - rows) // 2, left=(width - columns) // 2, height=rows, width=columns)


def random_box(
    generator: np.random.Generator,
    height: int,
    width: int,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Box:
    """A box of random area (share of the image in `scale`), aspect and place.

    Inception's crop (https://arxiv.org/abs/1409.4842, section 6): the aspect, width / height, is
    log-uniform in `ratio`; a box that does not fit is drawn again, after ten tries the largest box
    with the nearest allowed aspect is taken. The same generator gives the same box, up to rounding,
    on an image of another size and equal proportions, so that aligned maps are cropped alike.
    """
    draws = generator.random((_CROP_TRIES + 1, 2)).tolist()
    place_y, place_x = draws.pop()
    nearest = min(max(width / height, ratio[0]), ratio[1])
    box_height, box_width = min(height, width / nearest), min(width, height * nearest)
    for area_draw, ratio_draw in draws:
        area = height * width * (scale[0] + (scale[1] - scale[0]) * area_draw)
        aspect = math.exp(math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * ratio_draw)
        tried_height, tried_width = math.sqrt(area / aspect), math.sqrt(area * aspect)
        if tried_height <= height and tried_width <= width:
            box_height, box_width = tried_height, tried_width
            break
    rows, columns = max(round(box_height), 1), max(round(box_width), 1)
    return Box(
        top=int(place_y * (height - rows + 1)),
        left=int(place_x * (width - columns + 1)),
        height=rows,
        width=columns,
    )


def resize(
    pixels: Shaped[Tensor, "*lead h w"], size: tuple[int, int], interpolation: Interpolation
) -> Shaped[Tensor, "*lead y x"]:
    """Resampled with an antialiasing filter where it shrinks; keeps uint8 as uint8."""
    from torchvision.transforms.v2 import InterpolationMode, functional

    mode = InterpolationMode(interpolation)
    return functional.resize(pixels, list(size), interpolation=mode, antialias=True)


# Channel statistics


def measure_channels(
    source: Source, entry: str, *, num_channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel over at most 256 samples, spread evenly over `source`.

    `entry` of a sample is (c h w), or (t c h w) with its real frames only. A channel that never
    changes (an alpha channel of opaque images) gets the deviation 1. `DataError` if none changes.
    """
    count = 0
    totals = torch.zeros(2, num_channels, dtype=torch.float64)
    for sample in measured_samples(source):
        pixels = as_unit(sample[entry])
        flat = pixels.double().movedim(-3, 0).flatten(1)
        count += flat.shape[1]
        totals += torch.stack([flat.sum(dim=1), flat.square().sum(dim=1)])
    mean, mean_square = totals / count
    std = (mean_square - mean.square()).clamp_min(0.0).sqrt()
    if (std < _LEAST_STD).all():
        raise DataError(
            f"{source.name(0)} and the other files that were measured have the same colour "
            "everywhere; expected pictures; set mean and std if this is meant"
        )
    std = torch.where(std < _LEAST_STD, 1.0, std)
    return tuple(mean.tolist()), tuple(std.tolist())


def check_channels(
    name: str,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    *,
    num_channels: int,
) -> None:
    """RecipeError unless each that is given has one number per channel, deviations above 0."""
    for field, numbers in (("mean", mean), ("std", std)):
        if numbers is not None and len(numbers) != num_channels:
            raise RecipeError(
                f"{name}: {field} must have one number per channel, {num_channels}, got "
                f"{len(numbers)}; write {field}=None to measure it"
            )
    if std is not None and min(std) <= 0:
        raise RecipeError(f"{name}: std must be positive, got {std}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Channels:
    """Mean and deviation of every channel, as they broadcast over pixels."""

    mean: Float[Tensor, "*b c 1 1"]
    std: Float[Tensor, "*b c 1 1"]

    @classmethod
    def of(
        cls,
        name: str,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        device: torch.device,
    ) -> "Channels":
        """Those of a modality's record; RecipeError before they are measured."""
        if mean is None or std is None:
            raise RecipeError(f"{name}: mean and std are not known; call fit(source) or set both")
        both = torch.empty(2, len(mean), 1, 1, device=device)
        # Number by number, without the copy from the host that `torch.tensor` waits for.
        for entry, number in zip(both.flatten(), (*mean, *std), strict=True):
            entry.fill_(number)
        return cls(mean=both[0], std=both[1])

    def standardise(self, pixels: Shaped[Tensor, "*b c h w"]) -> Float[Tensor, "*b c h w"]:
        return (as_unit(pixels) - self.mean) / self.std

    def restore(self, values: Float[Tensor, "*b c h w"]) -> Float[Tensor, "*b c h w"]:
        """The inverse of `standardise`, up to the type."""
        return values * self.std + self.mean


def as_unit(pixels: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """fp32; 8-bit values become [0, 1], others stay as they are."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()


def as_dtype(pixels: Float[Tensor, "*shape"], dtype: torch.dtype) -> Shaped[Tensor, "*shape"]:
    """The inverse of `as_unit`; for uint8 rounded and cut off at 0 and 255."""
    if dtype == torch.uint8:
        return (pixels * 255).round().clamp(0, 255).to(torch.uint8)
    return pixels.to(dtype)


# Patches


def patchify(
    pixels: Shaped[Tensor, "b t c h w"], patch: tuple[int, int, int]
) -> Shaped[Tensor, "b n v"]:
    """Patches of (frames, rows, columns), in that order in space, channels fastest in a patch."""
    return rearrange(
        pixels,
        "b (t pt) c (h ph) (w pw) -> b (t h w) (pt ph pw c)",
        pt=patch[0],
        ph=patch[1],
        pw=patch[2],
    )


def unpatchify(
    values: Shaped[Tensor, "b n v"], patch: tuple[int, int, int], grid: tuple[int, int, int]
) -> Shaped[Tensor, "b t c h w"]:
    """The inverse of `patchify`; `grid` has the number of patches per axis."""
    return rearrange(
        values,
        "b (t h w) (pt ph pw c) -> b (t pt) c (h ph) (w pw)",
        t=grid[0],
        h=grid[1],
        w=grid[2],
        pt=patch[0],
        ph=patch[1],
        pw=patch[2],
    )


def check_crops(scale: tuple[float, float], ratio: tuple[float, float], flip: float) -> None:
    """RecipeError for settings of random boxes that cannot be drawn."""
    if not 0 < scale[0] <= scale[1] <= 1:
        raise RecipeError(
            f"crop_scale must be two shares of the area, 0 < low <= high <= 1, got {scale}; write "
            "(0.2, 1.0)"
        )
    if not 0 < ratio[0] <= ratio[1]:
        raise RecipeError(
            f"crop_ratio must be width / height, 0 < low <= high, got {ratio}; write (0.75, 1.333)"
        )
    if not 0 <= flip <= 1:
        raise RecipeError(f"flip must be a probability in [0, 1], got {flip}")
