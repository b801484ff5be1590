"""PCD files, text, binary and compressed.

https://pointclouds.org/documentation/tutorials/pcd_file_format.html. Compressed bodies are LZF,
column after column; the LZF format is described in http://oldhome.schmorp.de/marc/liblzf.html.
"""

from pathlib import Path

import numpy as np

from omnimask.data.point_files.table import Table, named, read_bytes
from omnimask.foundation.errors import DataError

_KINDS = {"I": "i", "U": "u", "F": "f"}


def read_pcd(path: Path) -> Table:
    """The points; a packed `rgb` or `rgba` column becomes red, green, blue."""
    content = read_bytes(path)
    header, start = _header(content, path)
    try:
        layout = _layout(header)
        length = int(header["POINTS"][0])
        encoding = header["DATA"][0]
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"{path}: PCD header: missing or wrong entry {error}") from error
    body = content[start:]
    if encoding == "ascii":
        columns = _text_columns(body, layout, length, path)
    elif encoding == "binary":
        if len(body) < length * layout.itemsize:
            raise _truncated(path, length)
        rows = np.frombuffer(body, layout, length)
        columns = {name: rows[name] for name in layout.names or ()}
    elif encoding == "binary_compressed":
        columns = _compressed_columns(body, layout, length, path)
    else:
        raise DataError(f"{path}: PCD data {encoding!r}; expected ascii, binary, binary_compressed")
    return named(_unpacked(columns), path)


def _header(content: bytes, path: Path) -> tuple[dict[str, list[str]], int]:
    at = content.find(b"\nDATA ")
    stop = content.find(b"\n", at + 1)
    if at < 0 or stop < 0:
        raise DataError(f"{path}: not a PCD file (no 'DATA' line in a header); check its format")
    lines = content[:stop].decode("ascii", errors="replace").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return {line[0]: line[1:] for line in words if line}, stop + 1


def _layout(header: dict[str, list[str]]) -> np.dtype:
    """One row as a structured type; padding columns, all named "_", get names of their own."""
    fields = header["FIELDS"]
    counts = header.get("COUNT", ["1"] * len(fields))
    columns = zip(fields, header["TYPE"], header["SIZE"], counts, strict=True)
    return np.dtype(
        [
            (f"_{i}" if name == "_" else name, f"<{_KINDS[kind]}{size}", (int(count),))
            for i, (name, kind, size, count) in enumerate(columns)
        ]
    )


def _text_columns(body: bytes, layout: np.dtype, length: int, path: Path) -> Table:
    names = layout.names or ()
    widths = [layout[name].shape[0] for name in names]
    try:
        numbers = np.array(body.split(), dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path}: PCD text body: {error}") from error
    if len(numbers) < length * sum(widths):
        raise _truncated(path, length)
    rows = numbers[: length * sum(widths)].reshape(length, sum(widths))
    blocks = np.split(rows, np.cumsum(widths)[:-1], axis=1)
    return {
        name: block.astype(layout[name].base) for name, block in zip(names, blocks, strict=True)
    }


def _compressed_columns(body: bytes, layout: np.dtype, length: int, path: Path) -> Table:
    size = length * layout.itemsize
    if len(body) < 8:
        raise _truncated(path, length)
    packed_size, unpacked_size = np.frombuffer(body, "<u4", 2)
    if len(body) - 8 < packed_size or unpacked_size < size:
        raise _truncated(path, length)
    unpacked = _lzf(body[8 : 8 + int(packed_size)], path)
    if len(unpacked) < size:
        raise _truncated(path, length)
    columns, at = {}, 0
    for name in layout.names or ():
        shape = layout[name].shape
        block = np.frombuffer(unpacked, layout[name].base, length * shape[0], at)
        columns[name] = block.reshape(length, shape[0])
        at += block.nbytes
    return columns


def _lzf(packed: bytes, path: Path) -> bytes:
    """Undoes LZF: runs of literal bytes, and copies of bytes that were already written."""
    out, at = bytearray(), 0
    try:
        while at < len(packed):
            control = packed[at]
            at += 1
            if control < 32:
                out += packed[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += packed[at]
                at += 1
            begin = len(out) - ((control & 31) << 8) - packed[at] - 1
            at += 1
            if begin < 0:
                raise DataError(f"{path}: the compressed PCD body is damaged")
            period = len(out) - begin
            copied = bytes(out[begin : begin + length + 2])
            out += copied if period >= length + 2 else (copied * (length + 2))[: length + 2]
    except IndexError as error:
        raise DataError(f"{path}: the compressed PCD body is damaged") from error
    return bytes(out)


def _unpacked(columns: Table) -> Table:
    """Columns with one number per point, colours taken out of their packed 32 bits."""
    single = {name: block[:, 0] for name, block in columns.items() if block.shape[1] == 1}
    packed = next((single.pop(name) for name in ("rgb", "rgba") if name in single), None)
    if packed is not None and packed.dtype.itemsize == 4:
        bits = np.ascontiguousarray(packed).view(np.uint32)
        for name, shift in (("red", 16), ("green", 8), ("blue", 0)):
            single[name] = ((bits >> shift) & 255).astype(np.uint8)
    return single


def _truncated(path: Path, length: int) -> DataError:
    return DataError(
        f"{path}: the file ends before its {length} points do; it is truncated, restore it from "
        "its source"
    )
