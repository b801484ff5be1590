"""The guard against files that unpack to more than the memory."""

from pathlib import Path

from omnimask.foundation.errors import DataError


def check_size(height: int, width: int, path: Path, *, max_pixels: int) -> None:
    """`DataError` for an image of no pixels, or of more than `max_pixels`."""
    if height < 1 or width < 1:
        raise DataError(f"{path}: is {width} × {height} pixels; replace or remove it")
    if height * width > max_pixels:
        raise DataError(
            f"{path}: is {width} × {height} pixels, {height * width:,}; expected at most "
            f"{max_pixels:,}, since a small file can be made to fill the memory; raise max_pixels "
            "of ImageFiles if it is meant"
        )
