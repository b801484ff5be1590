"""Pillow, for palettes, colour keys, animated WebP, and compressed TIFF that tifffile cannot."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from modalities.image.readers.channels import Picture
from omnimask.foundation.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

# What Pillow raises for damaged files; SyntaxError is its word for a bad header.
_DAMAGED = (
    *(OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError),
    *(OverflowError, ZeroDivisionError, struct.error, zlib.error, UserWarning),
)


def read_with_pillow(data: bytes, path: Path) -> Picture:
    """8-bit grey or RGB (16-bit grey from TIFF), upright, with alpha where the file has any.

    The first of several frames.
    """
    from PIL import ImageOps

    with opened_with_pillow(data, path) as image:
        array = np.array(_plain(ImageOps.exif_transpose(image)))
    pixels = torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)
    return Picture(pixels=pixels, has_alpha=len(pixels) == 4)


@contextmanager
def opened_with_pillow(data: bytes, path: Path) -> Iterator["Image"]:
    """The image, to be decoded and used inside; what fails there is a `DataError` naming `path`."""
    import PIL
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow warns of damage and reads on; that is not how a file should come in.
            warnings.simplefilter("error", UserWarning)
            # The caller checks the size against its own limit.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                yield image
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: Pillow {PIL.__version__} cannot decode it ({error}); expected a whole image; "
            "replace or remove it"
        ) from error


def _plain(image: "Image") -> "Image":
    """Palettes, colour keys, CMYK and the like turned into L, I;16, RGB or RGBA."""
    if image.mode in ("RGB", "RGBA", "L", "I;16") and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "1" else "RGB")
