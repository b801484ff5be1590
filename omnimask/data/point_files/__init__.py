"""Tables of points on disk, read with NumPy alone: PLY, PCD, XYZ text, NPY, NPZ, BIN.

Every column is kept; Open3D keeps places, normals and colours. For binary files it takes ten times
as long and more; compressed PCD it reads twice as fast, text clouds up to 1.6 times as fast
(tools/bench_readers.py).
"""

from omnimask.data.point_files.pcd import read_pcd
from omnimask.data.point_files.plain import read_bin, read_npy, read_npz, read_text
from omnimask.data.point_files.ply import plain_text_mesh, read_ply
from omnimask.data.point_files.table import (
    COLOR,
    NORMAL,
    PLACE,
    Table,
    check_corners,
    fans,
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
    "check_corners",
    "fans",
    "finite_rows",
    "named",
    "plain_text_mesh",
    "read_bin",
    "read_bytes",
    "read_npy",
    "read_npz",
    "read_pcd",
    "read_ply",
    "read_text",
    "stack",
]
