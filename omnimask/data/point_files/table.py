"""A table of points: column name to a 1-D float32 array with one entry per point.

Names follow PLY: x y z, nx ny nz (normals), red green blue (in [0, 1]), intensity.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from omnimask.foundation.errors import DataError

Table = dict[str, np.ndarray]

PLACE = ("x", "y", "z")
NORMAL = ("nx", "ny", "nz")
COLOR = ("red", "green", "blue")

_ALIASES = {
    "normal_x": "nx",
    "normal_y": "ny",
    "normal_z": "nz",
    "r": "red",
    "g": "green",
    "b": "blue",
    "diffuse_red": "red",
    "diffuse_green": "green",
    "diffuse_blue": "blue",
    "scalar_intensity": "intensity",
    "reflectance": "intensity",
    "i": "intensity",
}


def read_bytes(path: Path) -> bytes:
    """The file's content; `DataError` if there is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read; {error.strerror}") from error
    if not content:
        raise DataError(f"{path}: the file is empty; delete it or restore it from its source")
    return content


def fans(polygons: Sequence[Sequence[int] | np.ndarray]) -> np.ndarray:
    """Triangles (t, 3) that polygons are cut into, all from their first corner."""
    cut = [(row[0], row[i], row[i + 1]) for row in polygons for i in range(1, len(row) - 1)]
    return np.array(cut, dtype=np.int64).reshape(-1, 3)


def check_corners(triangles: np.ndarray, num_vertices: int, path: Path) -> None:
    """`DataError` for a triangle with a corner that does not exist."""
    wrong = triangles[(triangles < 0) | (triangles >= num_vertices)]
    if len(wrong):
        raise DataError(f"{path}: a face names vertex {wrong[0]} of {num_vertices}")


def named(columns: Mapping[str, np.ndarray], path: Path) -> Table:
    """A table with our names and float32 columns of one length.

    Colours become [0, 1]: integers are divided by the largest value of their type, real numbers by
    255 where any is above 1. `DataError` without x, y, z or without any point.
    """
    table = {_ALIASES.get(name.lower(), name.lower()): column for name, column in columns.items()}
    if not set(PLACE) <= set(table):
        found = " ".join(table) or "none"
        raise DataError(f"{path}: expected columns x y z, got {found}; rename the columns")
    lengths = {name: len(column) for name, column in table.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path}: expected columns of one length, got {lengths}")
    if not lengths["x"]:
        raise DataError(f"{path}: has no points; delete the file or restore it from its source")
    colors = {name: table[name] for name in COLOR if name in table}
    return {name: column.astype(np.float32) for name, column in (table | _unit(colors)).items()}


def _unit(colors: Table) -> Table:
    if any(column.dtype.kind in "iu" for column in colors.values()):
        return {name: column / np.iinfo(column.dtype).max for name, column in colors.items()}
    largest = 255.0 if any(column.max() > 1 for column in colors.values()) else 1.0
    return {name: column / largest for name, column in colors.items()}


def stack(table: Table, names: Sequence[str]) -> np.ndarray:
    """The named columns side by side, (points, names) in float32."""
    return np.stack([table[name] for name in names], axis=1)


def finite_rows(table: Table, names: Sequence[str], path: Path, *, drop: bool) -> Table:
    """The points whose named columns are all finite; `DataError` for others unless `drop`.

    Depth sensors write NaN for a missing return, and one of them would turn a whole cloud to NaN.
    """
    finite = np.asarray(np.isfinite(stack(table, names)).all(axis=1))
    if finite.all():
        return table
    bad, columns = int((~finite).sum()), " ".join(names)
    if bad == len(finite):
        raise DataError(f"{path}: all {bad} points have a NaN or infinite value among {columns}")
    if not drop:
        raise DataError(
            f"{path}: {bad} of {len(finite)} points have a NaN or infinite value among {columns}; "
            "set nan='drop' to leave them out (depth sensors mark missing returns so)"
        )
    return {name: column[finite] for name, column in table.items()}
