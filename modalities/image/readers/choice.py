"""Which library decodes a file: torchvision, tifffile for TIFF, Pillow where both fall short."""

import importlib
from pathlib import Path

import numpy as np
import torch

from modalities.image.readers.channels import Picture
from modalities.image.readers.header import Header, read_header
from modalities.image.readers.limits import check_size
from modalities.image.readers.tiff import read_tiff
from modalities.image.readers.with_pillow import read_with_pillow
from omnimask.foundation.errors import DataError

_READERS = {
    "JPEG, PNG, WebP": "torchvision",
    "PNG with a palette or colour key, WebP with frames or EXIF": "PIL",
    "TIFF": "tifffile",
    "TIFF in LZW, JPEG and other compression (without it by PIL, 8 bits only)": "imagecodecs",
}


def available_readers() -> dict[str, str]:
    """Each kind of file with the library that reads it and its version, or why it is missing."""
    return {kind: _status(module) for kind, module in _READERS.items()}


def _status(module: str) -> str:
    try:
        return f"{module} {importlib.import_module(module).__version__}"
    except (ImportError, OSError, RuntimeError) as error:  # not built for this torch, no library
        return f"missing: {error}"


def read_picture(path: Path, *, grey: bool, max_pixels: int) -> Picture:
    """The image of a file, upright, in its own channels and number type.

    `grey` lets JPEG give its luma plane without making colours. `DataError` names the file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); check that it is there") from error
    header = read_header(data, str(path))
    if header.format == "TIFF":
        return read_tiff(data, path, max_pixels=max_pixels)
    check_size(header.height, header.width, path, max_pixels=max_pixels)
    if not header.fast:
        return read_with_pillow(data, path)
    return _read_with_torchvision(data, header, path, grey=grey)


def _read_with_torchvision(data: bytes, header: Header, path: Path, *, grey: bool) -> Picture:
    from torchvision.io import ImageReadMode, decode_image

    mode = ImageReadMode.UNCHANGED
    if header.format == "JPEG":  # has no alpha, but may be CMYK
        mode = ImageReadMode.GRAY if grey else ImageReadMode.RGB
    encoded = torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())
    try:
        pixels = decode_image(encoded, mode=mode, apply_exif_orientation=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rpartition(", ")[2]
        raise DataError(
            f"{path}: torchvision cannot decode this {header.format} ({reason}); expected a whole "
            "image; replace or remove it"
        ) from error
    return Picture(pixels=pixels, has_alpha=len(pixels) in (2, 4))
