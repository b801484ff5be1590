"""TIFF with any number of channels and any number type, by tifffile."""

import importlib.util
import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from modalities.image.readers.channels import Picture
from modalities.image.readers.limits import check_size
from modalities.image.readers.with_pillow import read_with_pillow
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs

if TYPE_CHECKING:
    from tifffile import TiffPage, TiffPageSeries

# Numbers of the TIFF 6.0 specification: photometric interpretation (tag 262), extra samples (338).
_GREY_OR_BANDS, _GREY_INVERTED, _RGB = 1, 0, 2
_PREMULTIPLIED_ALPHA, _STRAIGHT_ALPHA = 1, 2
# None, deflate (two codes), PackBits: what tifffile decodes without the package imagecodecs.
_OWN_CODECS = frozenset({1, 8, 32773, 32946})
_ORIENTATION = 274
# Tag 274: (transpose, then flip rows, flip columns) that set an image upright.
_UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
# What tifffile lets through for damaged files, beside its own ValueError.
_DAMAGED = (
    *(ValueError, OSError, struct.error, zlib.error, IndexError, KeyError, TypeError),
    *(ZeroDivisionError, OverflowError, AttributeError, RuntimeError, MemoryError),
)


def read_tiff(data: bytes, path: Path, *, max_pixels: int) -> Picture:
    """The first image of the file, upright; pages of one size count as its channels."""
    needs("tifffile", extra="image")
    from tifffile import TiffFile

    try:
        with TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]
            page = series.keyframe
            axes = _axes(series, path)
            _check_size(axes, path, max_pixels=max_pixels)
            if _can_decode(page):
                # Axes of length one say nothing, unless they are rows or columns.
                return _upright(series.asarray().reshape(list(axes.values())), axes, page)
            bits, codec = page.bitspersample, page.compression
    except _DAMAGED as error:
        raise DataError(
            f"{path}: tifffile cannot decode it ({type(error).__name__}: {error}); expected a "
            "whole TIFF image; replace or remove it"
        ) from error
    if np.max(bits) > 8:
        raise DataError(
            f"{path}: is TIFF of {np.max(bits)} bits compressed as {codec!r}, which needs one more "
            "package; run `pip install imagecodecs`"
        )
    return read_with_pillow(data, path)


def _axes(series: "TiffPageSeries", path: Path) -> dict[str, int]:
    """The lengths of rows Y, columns X and at most one other axis; `DataError` if there is more."""
    lengths = zip(series.axes, series.shape)
    axes = {axis: length for axis, length in lengths if length > 1 or axis in "YX"}
    if not {"Y", "X"} <= axes.keys() or len(axes) > 3:
        raise DataError(
            f"{path}: holds an array of {series.shape} with axes {series.axes}; expected rows, "
            "columns and at most one axis of channels; write one file per image"
        )
    return axes


def _check_size(axes: dict[str, int], path: Path, *, max_pixels: int) -> None:
    channels = next((length for axis, length in axes.items() if axis not in "YX"), 1)
    groups_of_four = -(-channels // 4)  # many channels weigh as much as many pixels
    check_size(axes["Y"] * groups_of_four, axes["X"], path, max_pixels=max_pixels)


def _can_decode(page: "TiffPage") -> bool:
    plain = page.photometric in (_GREY_OR_BANDS, _GREY_INVERTED, _RGB)
    return plain and (page.compression in _OWN_CODECS or _has_imagecodecs())


def _has_imagecodecs() -> bool:
    return importlib.util.find_spec("imagecodecs") is not None


def _upright(array: np.ndarray, axes: dict[str, int], page: "TiffPage") -> Picture:
    """Channels first, native byte order, upright, and what the channels mean."""
    for number, axis in enumerate(axes):
        if axis not in "YX":
            array = np.moveaxis(array, number, 0)
    array = array.reshape(-1, *array.shape[-2:]).astype(array.dtype.newbyteorder("="), copy=False)
    if page.photometric == _GREY_INVERTED and np.issubdtype(array.dtype, np.unsignedinteger):
        array = np.iinfo(array.dtype).max - array
    tag = page.tags.get(_ORIENTATION)
    transpose, flip_rows, flip_columns = _UPRIGHT.get(tag.value if tag else 1, (False,) * 3)
    array = array.transpose(0, 2, 1) if transpose else array
    array = array[:, :: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    if array.dtype in (np.int64, np.uint64, np.float16):
        array = array.astype(np.float64)
    return _picture(torch.from_numpy(np.ascontiguousarray(array)), page)


def _picture(pixels: torch.Tensor, page: "TiffPage") -> Picture:
    num_colours = 3 if page.photometric == _RGB else 1
    extra = tuple(int(kind) for kind in page.extrasamples)
    has_alpha = len(pixels) == num_colours + 1 and extra in (
        (_PREMULTIPLIED_ALPHA,),
        (_STRAIGHT_ALPHA,),
    )
    return Picture(
        pixels=pixels,
        has_colour=len(pixels) == num_colours + has_alpha,
        has_alpha=has_alpha,
        is_premultiplied=has_alpha and extra == (_PREMULTIPLIED_ALPHA,),
    )
