"""From the channels and numbers that a file has to those that were asked for."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from omnimask.data.pixels import Box
from omnimask.foundation.errors import DataError

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG
_LARGEST = {
    torch.bool: 1,
    torch.int8: 2**7 - 1,
    torch.int16: 2**15 - 1,
    torch.uint16: 2**16 - 1,
    torch.int32: 2**31 - 1,
    torch.uint32: 2**32 - 1,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A decoded image in its file's own number type.

    `has_colour`: the channels are grey or RGB, which can be turned into each other; otherwise they
    are bands that only their owner can interpret. `has_alpha`: the last channel is opacity, and
    `is_premultiplied`: the colours were multiplied by it.
    """

    pixels: Shaped[Tensor, "c h w"]
    has_colour: bool = True
    has_alpha: bool = False
    is_premultiplied: bool = False

    def cut(self, box: Box) -> "Picture":
        """A part, as uint8 or fp32: integers wider than 8 bits over their type's largest number."""
        pixels = box.cut(self.pixels)
        if pixels.dtype in _LARGEST:
            pixels = (pixels.double() / _LARGEST[pixels.dtype]).float()
        elif pixels.dtype != torch.uint8:
            pixels = pixels.float()
        return replace(self, pixels=pixels)


def to_channels(picture: Picture, num_channels: int, path: str) -> Shaped[Tensor, "k h w"]:
    """`num_channels` channels, uint8 or fp32 in [0, 1] as `picture` has them.

    Grey, RGB and either with alpha turn into 1, 3 or 4 (RGB and alpha) channels: grey is repeated,
    colour is weighed by BT.601, transparent places turn white where no alpha is asked for, and an
    image without alpha is opaque. Any other number of channels must be what the file has.
    """
    pixels = picture.pixels
    if not picture.has_colour or num_channels not in (1, 3, 4):
        if len(pixels) == num_channels:
            return pixels
        raise DataError(
            f"{path}: has {_described(picture)}; expected {num_channels}; set the modality's "
            "num_channels to what the files have, or convert or remove the file"
        )
    colour, alpha = _straight(picture) if picture.has_alpha else (pixels, None)
    if num_channels == 4:
        opaque = 255 if pixels.dtype == torch.uint8 else 1.0
        alpha = torch.full_like(pixels[:1], opaque) if alpha is None else alpha
        return torch.cat([colour.expand(3, -1, -1), alpha])
    if alpha is not None:
        colour = _over_white(colour, alpha)
    return colour.expand(3, -1, -1) if num_channels == 3 else _to_grey(colour)


def _described(picture: Picture) -> str:
    number = len(picture.pixels)
    names = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGB and alpha"}
    return f"{number} channels" + (f" ({names[number]})" if picture.has_colour else "")


def _straight(picture: Picture) -> tuple[Tensor, Tensor]:
    """Colours not multiplied by alpha, and alpha."""
    colour, alpha = picture.pixels[:-1], picture.pixels[-1:]
    if picture.is_premultiplied:
        share = _share(alpha).clamp_min(1e-6)
        largest = 255.0 if colour.dtype == torch.uint8 else 1.0
        colour = _typed_like(colour, (colour.float() / share).clamp_max(largest))
    return colour, alpha


def _over_white(colour: Shaped[Tensor, "c h w"], alpha: Tensor) -> Shaped[Tensor, "c h w"]:
    white, share = 255.0 if colour.dtype == torch.uint8 else 1.0, _share(alpha)
    return _typed_like(colour, colour.float() * share + white * (1 - share))


def _to_grey(colour: Shaped[Tensor, "c h w"]) -> Shaped[Tensor, "1 h w"]:
    if len(colour) == 1:
        return colour
    red, green, blue = (weight * plane.float() for weight, plane in zip(_LUMA, colour))
    return _typed_like(colour, (red + green + blue)[None])


def _share(alpha: Shaped[Tensor, "1 h w"]) -> Float[Tensor, "1 h w"]:
    return alpha.float() / 255 if alpha.dtype == torch.uint8 else alpha


def _typed_like(original: Tensor, values: Float[Tensor, "c h w"]) -> Shaped[Tensor, "c h w"]:
    return values.round().to(torch.uint8) if original.dtype == torch.uint8 else values
