"""Points in files without a header of names: XYZ text, NPY, NPZ and BIN."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnimask.data.point_files.table import COLOR, NORMAL, PLACE, Table, named, read_bytes
from omnimask.foundation.errors import DataError

_NPZ_BLOCKS = {"normals": NORMAL, "colors": COLOR}


def read_text(path: Path, columns: Sequence[str]) -> Table:
    """Numbers between spaces or commas, one point a line, # before comments."""
    content = read_bytes(path).replace(b",", b" ")
    if not content.strip():
        raise DataError(f"{path}: has no points; delete the file or restore it from its source")
    try:
        rows = np.loadtxt(io.BytesIO(content), dtype=np.float64, comments="#", ndmin=2)
    except ValueError as error:
        raise DataError(f"{path}: expected lines of numbers, one point each; {error}") from error
    return _columns(rows, columns, path)


def read_npy(path: Path, columns: Sequence[str]) -> Table:
    """One array of shape (points, columns)."""
    content = read_bytes(path)
    try:
        rows = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: expected a NumPy array file (.npy); {error}") from error
    if not isinstance(rows, np.ndarray):
        raise DataError(f"{path}: expected a NumPy array file, got an archive; rename it to .npz")
    return _columns(rows, columns, path)


def read_npz(path: Path, columns: Sequence[str]) -> Table:
    """Arrays `xyz` or `points`, with `normals`, `colors` (points, 3) and `intensity` (points)."""
    content = read_bytes(path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            blocks = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected a NumPy archive (.npz); {error}") from error
    place = next((name for name in ("xyz", "points") if name in blocks), None)
    if place is None:
        raise DataError(
            f"{path}: expected an array named 'xyz' or 'points' of shape (points, 3), got arrays "
            f"{sorted(blocks)}; save it with numpy.savez(path, xyz=...)"
        )
    table = _columns(blocks.pop(place), columns, path)
    for name, block in blocks.items():
        if name in _NPZ_BLOCKS:
            rows = _rows(block, _NPZ_BLOCKS[name], path)
            table |= {column: rows[:, i] for i, column in enumerate(_NPZ_BLOCKS[name])}
        elif name == "intensity":
            table[name] = block.reshape(-1)
    return named(table, path)


def read_bin(path: Path, *, num_columns: int) -> Table:
    """Rows of little-endian float32: x, y, z, intensity, then columns that are left out.

    KITTI writes 4 columns, nuScenes 5. There is no header: the length is the only check.
    """
    content = read_bytes(path)
    row_bytes = 4 * num_columns
    if len(content) % row_bytes:
        raise DataError(
            f"{path}: expected rows of {num_columns} float32 ({row_bytes} bytes each), got "
            f"{len(content)} bytes, {len(content) % row_bytes} too many; the file is truncated, or "
            "set columns_bin to its number of columns (KITTI 4, nuScenes 5)"
        )
    rows = np.frombuffer(content, dtype="<f4").reshape(-1, num_columns)
    return _columns(rows, (*PLACE, "intensity")[:num_columns], path)


def _columns(rows: np.ndarray, columns: Sequence[str], path: Path) -> Table:
    rows = _rows(rows, columns, path)
    return named({name: rows[:, i] for i, name in enumerate(columns)}, path)


def _rows(rows: np.ndarray, columns: Sequence[str], path: Path) -> np.ndarray:
    if rows.ndim != 2 or rows.shape[1] < len(columns) or rows.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: expected numbers of shape (points, at least {len(columns)}) with columns "
            f"{' '.join(columns)}, got {rows.dtype} of shape {rows.shape}"
        )
    return rows
