"""Tables of points on disk, read with NumPy alone: PLY, PCD, XYZ text, NPY, NPZ, BIN."""

from omnimask.data.point_files.pcd import read_pcd
from omnimask.data.point_files.plain import read_bin, read_npy, read_npz, read_text
from omnimask.data.point_files.ply import read_ply
from omnimask.data.point_files.table import (
    COLOR,
    NORMAL,
    PLACE,
    Table,
    finite_rows,
    named,
    read_bytes,
    stack,
)

__all__ = [
    "COLOR",
    "NORMAL",
    "PLACE",
    "Table",
    "finite_rows",
    "named",
    "read_bin",
    "read_bytes",
    "read_npy",
    "read_npz",
    "read_pcd",
    "read_ply",
    "read_text",
    "stack",
]
