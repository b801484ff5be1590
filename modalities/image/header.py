"""What the first bytes of a file say: its real format, its size, and whether the fast path fits.

The size is known before anything is decoded, so that a small file that would unpack to gigabytes is
refused. A file's suffix is not asked: PNG files called `.jpg` are common.

Not by Pillow, which takes at least thirty times as long (tools/bench_readers.py), a tenth of the
whole reading of a JPEG of 500 × 375 pixels and most of that of one of 64 × 64. It also refuses
images above a limit of its own, whatever `max_pixels` says.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from omnimask.foundation.errors import DataError

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """`fast`: torchvision decodes the file as it is meant. Otherwise Pillow does: torchvision gives
    palette numbers as grey values, and knows no colour key, no animated WebP and no EXIF in WebP.
    `height` and `width` are 0 for TIFF, which tifffile looks into.
    """

    format: Literal["JPEG", "PNG", "WebP", "TIFF"]
    height: int = 0
    width: int = 0
    fast: bool = True


def read_header(data: bytes, path: str) -> Header:
    """`DataError` naming `path` if the bytes are none of the four formats or end too soon."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError, ValueError) as error:
        raise DataError(
            f"{path}: its header is damaged or cut off ({error}); expected a whole image; "
            "replace or remove it"
        ) from error
    if data.startswith(_TIFF_STARTS):
        return Header(format="TIFF", fast=False)
    if not data:
        raise DataError(f"{path}: is empty; expected an image; replace or remove it")
    raise DataError(
        f"{path}: is not an image that is read here; expected JPEG, PNG, WebP or TIFF, got a file "
        f"that begins with {data[:12]!r}; convert or remove it"
    )


def _jpeg(data: bytes) -> Header:
    place = 2
    while True:
        if data[place] != 0xFF:
            raise ValueError(f"no marker at byte {place}")
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
        elif marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return Header(format="JPEG", height=height, width=width)
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]


def _png(data: bytes) -> Header:
    width, height, _, colour_type = struct.unpack_from(">IIBB", data, 16)
    keyed = colour_type == 3 or b"tRNS" in _png_chunks_before_pixels(data)
    return Header(format="PNG", height=height, width=width, fast=not keyed)


def _png_chunks_before_pixels(data: bytes) -> Iterator[bytes]:
    place = 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"IDAT":
            return
        yield kind
        place += 12 + length


def _webp(data: bytes) -> Header:
    kind = data[12:16]
    if kind == b"VP8X":  # extended: bit 1 of the flags is animation, bit 3 EXIF
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return Header(format="WebP", height=height, width=width, fast=not data[20] & 0b1010)
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Header(format="WebP", height=(bits >> 14 & 0x3FFF) + 1, width=(bits & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        return Header(format="WebP", height=height, width=width)
    raise ValueError(f"unknown WebP part {kind!r}")
