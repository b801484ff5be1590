"""Pictures and clips of any size, imputed by a model that sees them at its own size.

The whole frame is squeezed to the model's size, so that no hidden pixel lies outside of what it
sees. What it predicts is stretched again and put in the hidden pixels' places alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor

from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.tokens import Raw
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.request import Hide
from omnimask.transfer.imputing.restore import Restored, random_hidden, restore_hidden


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameView:
    """How a modality sees frames: `size` in pixels, `grid` of tokens (t, h, w), `frames_per_token`,
    and both ways between frames (t c h w) of that size, uint8, and the raw form of one sample.
    """

    size: tuple[int, int]
    grid: tuple[int, int, int]
    frames_per_token: int
    to_raw: Callable[[Tensor], Raw]
    to_frames: Callable[[Raw], Tensor]


def impute_frames(
    model: MaskedModel,
    name: str,
    frames: UInt8[Tensor, "t c h w"],
    *,
    hidden: Bool[Tensor, "t h w"],
    view: FrameView,
) -> tuple[UInt8[Tensor, "t c h w"], Restored]:
    """The frames with their hidden pixels predicted; all others are as they were.

    A token is hidden from the model if any of its pixels is, and no other pixel that it sees is
    mixed with hidden ones.
    """
    seen = _resized_visible(frames, ~hidden, view.size)
    tokens = tokens_of_pixels(hidden, view)
    raw = view.to_raw(seen)
    restored = restore_hidden(model, name, raw, tokens)
    joined = model.modalities[name].join(restored.values[None].cpu(), raw)
    small = view.to_frames(joined)[: len(frames)].float()
    whole = F.interpolate(small, size=frames.shape[-2:], mode="bilinear", align_corners=False)
    guessed = whole.round().clamp(0, 255).to(torch.uint8)
    return torch.where(hidden[:, None], guessed, frames), restored


def hidden_pixels(
    hide: Hide, shape: tuple[int, int, int], *, view: FrameView, in_time: Bool[Tensor, " t"]
) -> Bool[Tensor, "t h w"]:
    """The hidden pixels of `shape` (t, h, w); `in_time` flags the frames in `hide.seconds`."""
    num_frames, height, width = shape
    if hide.ratio is not None:
        valid = torch.ones(view.grid, dtype=torch.bool)
        valid[-(-num_frames // view.frames_per_token) :] = False
        tokens = random_hidden(valid.flatten(), ratio=hide.ratio, seed=hide.seed)
        return pixels_of_tokens(tokens, shape, view)
    area = torch.ones(height, width, dtype=torch.bool)
    if hide.mask is not None:
        area = read_mask(hide.mask, height, width)
    elif hide.box is not None:
        area = box_area(hide.box, height, width)
    return in_time[:, None, None] & area


def box_area(box: tuple[float, ...], height: int, width: int) -> Bool[Tensor, "h w"]:
    """The pixels from (left, top) to before (right, bottom)."""
    if len(box) != 4:
        raise RecipeError(f"--hide-box takes LEFT,TOP,RIGHT,BOTTOM in pixels, got {box}")
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise RecipeError(
            f"--hide-box {box} must lie inside of the {width} × {height} pixels (width × height), "
            "as LEFT,TOP,RIGHT,BOTTOM"
        )
    area = torch.zeros(height, width, dtype=torch.bool)
    area[int(top) : int(bottom), int(left) : int(right)] = True
    return area


def read_mask(path: Path, height: int, width: int) -> Bool[Tensor, "h w"]:
    """True where the picture is lighter than middle grey; DataError for another size."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            grey = np.array(image.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: the mask cannot be read as a picture ({error})") from error
    if grey.shape != (height, width):
        raise DataError(
            f"{path}: the mask has {grey.shape[1]} × {grey.shape[0]} pixels, what it is for has "
            f"{width} × {height}; make it of the same size"
        )
    return torch.from_numpy(grey >= 128)


def tokens_of_pixels(hidden: Bool[Tensor, "t h w"], view: FrameView) -> Bool[Tensor, " n"]:
    """The tokens with any hidden pixel; of time beyond the frames none is."""
    num_frames, height, width = hidden.shape
    places = _token_places((num_frames, height, width), view)
    counts = torch.zeros(view.grid[0] * view.grid[1] * view.grid[2], dtype=torch.long)
    return counts.scatter_add_(0, places.flatten(), hidden.flatten().long()) > 0


def pixels_of_tokens(
    tokens: Bool[Tensor, " n"], shape: tuple[int, int, int], view: FrameView
) -> Bool[Tensor, "t h w"]:
    return tokens[_token_places(shape, view)]


def _token_places(shape: tuple[int, int, int], view: FrameView) -> Shaped[Tensor, "t h w"]:
    """The number of the token that each pixel lies in."""
    _, rows, columns = view.grid
    t = torch.arange(shape[0]) // view.frames_per_token
    y = torch.arange(shape[1]) * rows // shape[1]
    x = torch.arange(shape[2]) * columns // shape[2]
    return (t[:, None, None] * rows + y[:, None]) * columns + x


def _resized_visible(
    frames: UInt8[Tensor, "t c h w"], visible: Bool[Tensor, "t h w"], size: tuple[int, int]
) -> UInt8[Tensor, "t c y x"]:
    """Squeezed to `size`, each result an average of visible pixels only.

    Where nothing visible is near, which is inside of hidden tokens, the mean colour stands.
    """
    weight = visible[:, None].float()
    pixels = frames.float()
    mean = (pixels * weight).sum(dim=(0, 2, 3)) / weight.sum().clamp_min(1.0)
    near = _squeezed(weight, size)
    average = _squeezed(pixels * weight, size) / near.clamp_min(1e-6)
    seen = torch.where(near > 1e-3, average, mean[:, None, None])
    return seen.round().clamp(0, 255).to(torch.uint8)


def _squeezed(pixels: Float[Tensor, "t c h w"], size: tuple[int, int]) -> Float[Tensor, "t c y x"]:
    return F.interpolate(pixels, size=size, mode="bilinear", antialias=True, align_corners=False)
