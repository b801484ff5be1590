"""PLY files, text and binary, of points or of a mesh: http://paulbourke.net/dataformats/ply/."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omnimask.data.point_files.table import (
    COLOR,
    NORMAL,
    PLACE,
    Table,
    check_corners,
    fans,
    named,
    read_bytes,
)
from omnimask.foundation.errors import DataError

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
_PLAIN_COLUMNS = [{*PLACE, *more} for more in ((), NORMAL, COLOR, (*NORMAL, *COLOR))]
_NUMBER_BYTES = b"0123456789+-.eE \t\r\n"
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Property:
    name: str
    type: str
    count_type: str = ""  # of a list's length; empty for a single number


@dataclass(frozen=True, kw_only=True, slots=True)
class _Element:
    name: str
    length: int
    properties: list[_Property]


def read_ply(path: Path) -> tuple[Table, np.ndarray]:
    """The vertices, and the faces as triangles (t, 3) of vertex numbers; t is 0 for a bare cloud.

    Polygons are cut into fans. `DataError` for a wrong header, missing bytes, or a face that names
    a vertex that does not exist.
    """
    content = read_bytes(path)
    order, elements, start = _header(content, path)
    body = _Text(content[start:], path) if order == "" else _Binary(content, start, order, path)
    table: Table | None = None
    triangles = np.zeros((0, 3), dtype=np.int64)
    for element in elements:
        if element.name == "vertex":
            table = named(body.numbers(element), path)
        elif element.name == "face" and _list_position(element) is not None:
            triangles = _triangles(body.rows(element), element)
        else:
            body.rows(element)
    if table is None:
        raise DataError(f"{path}: has no 'vertex' element")
    check_corners(triangles, len(table["x"]), path)
    return table, triangles


def plain_text_mesh(path: Path) -> tuple[int, int] | None:
    """How many vertices and faces a text file states that holds nothing that a mesh library would
    drop or trip over: finite places, normals and 8-bit colours, and a line for each entry.

    None for any other file, which `read_ply` can read or name the fault of.
    """
    content = read_bytes(path)
    order, elements, start = _header(content, path)
    if order or [element.name for element in elements] != ["vertex", "face"]:
        return None
    vertices, faces = elements
    types = {p.name: p.type for p in vertices.properties if not p.count_type}
    names = [p.name for p in faces.properties if p.count_type]
    if (
        len(types) < len(vertices.properties)
        or set(types) not in _PLAIN_COLUMNS
        or any(kind != "u1" if name in COLOR else kind[0] != "f" for name, kind in types.items())
        or len(faces.properties) != 1
        or names not in (["vertex_indices"], ["vertex_index"])
    ):
        return None
    body = content[start:]
    is_cut = body.strip().count(b"\n") + 1 < vertices.length + faces.length
    if is_cut or body.translate(None, _NUMBER_BYTES):
        return None
    return vertices.length, faces.length


def _header(content: bytes, path: Path) -> tuple[str, list[_Element], int]:
    """The byte order ("" for text), the elements and where the body starts."""
    end = content.find(b"end_header")
    stop = content.find(b"\n", end)
    if not content.startswith(b"ply") or end < 0 or stop < 0:
        raise DataError(f"{path}: not a PLY file (no 'ply' ... 'end_header'); check its format")
    order, elements = None, []
    for line in content[:end].decode("ascii", errors="replace").splitlines():
        try:
            match line.split():
                case ["format", name, _]:
                    order = _ORDERS[name]
                case ["element", name, length]:
                    elements.append(_Element(name=name, length=int(length), properties=[]))
                case ["property", "list", count, kind, name]:
                    listed = _Property(name=name, type=_TYPES[kind], count_type=_TYPES[count])
                    elements[-1].properties.append(listed)
                case ["property", kind, name]:
                    elements[-1].properties.append(_Property(name=name, type=_TYPES[kind]))
        except (KeyError, ValueError, IndexError) as error:
            raise DataError(f"{path}: PLY header line {line!r} is not understood") from error
    if order is None:
        raise DataError(f"{path}: the PLY header has no 'format' line")
    return order, elements, stop + 1


def _list_position(element: _Element) -> int | None:
    return next((i for i, entry in enumerate(element.properties) if entry.count_type), None)


def _triangles(rows: list[list[np.ndarray]] | np.ndarray, element: _Element) -> np.ndarray:
    """Triangles from rows of polygons; an array of rows means that all are triangles already."""
    if isinstance(rows, np.ndarray):
        return rows.astype(np.int64)
    position = _list_position(element)
    assert position is not None
    return fans([row[position] for row in rows])


class _Text:
    """The body of a text file: numbers between white space."""

    def __init__(self, content: bytes, path: Path) -> None:
        self.path, self.at = path, 0
        try:
            self.all = np.array(content.split(), dtype=np.float64)
        except ValueError as error:
            raise DataError(f"{path}: PLY text body: {error}") from error

    def numbers(self, element: _Element) -> dict[str, np.ndarray]:
        _require_single(element, self.path)
        width = len(element.properties)
        rows = self._take(element, element.length * width).reshape(element.length, width)
        return {p.name: rows[:, i].astype(p.type) for i, p in enumerate(element.properties)}

    def rows(self, element: _Element) -> list[list[np.ndarray]] | np.ndarray:
        if len(element.properties) == 1 and (triangles := self._triangles(element)) is not None:
            return triangles
        return [
            [
                self._take(element, int(self._take(element, 1)[0]) if p.count_type else 1)
                for p in element.properties
            ]
            for _ in range(element.length)
        ]

    def _triangles(self, element: _Element) -> np.ndarray | None:
        """All faces at once where each has three corners, as nearly always."""
        part = self.all[self.at : self.at + 4 * element.length]
        if not element.properties[0].count_type or len(part) < 4 * element.length:
            return None
        rows = part.reshape(-1, 4)
        if not (rows[:, 0] == 3).all():
            return None
        self.at += len(part)
        return rows[:, 1:]

    def _take(self, element: _Element, count: int) -> np.ndarray:
        part = self.all[self.at : self.at + count]
        if count < 0 or len(part) < count:
            raise _truncated(self.path, element)
        self.at += count
        return part


class _Binary:
    """The body of a binary file."""

    def __init__(self, content: bytes, start: int, order: str, path: Path) -> None:
        self.content, self.at, self.order, self.path = content, start, order, path

    def numbers(self, element: _Element) -> dict[str, np.ndarray]:
        _require_single(element, self.path)
        layout = np.dtype([(p.name, self.order + p.type) for p in element.properties])
        rows = self._take(element, layout, element.length)
        return {p.name: rows[p.name] for p in element.properties}

    def rows(self, element: _Element) -> list[list[np.ndarray]] | np.ndarray:
        if len(element.properties) == 1 and (triangles := self._triangles(element)) is not None:
            return triangles
        return [
            [self._entry(element, p) for p in element.properties] for _ in range(element.length)
        ]

    def _triangles(self, element: _Element) -> np.ndarray | None:
        """All faces at once where each has three corners, as nearly always."""
        entry = element.properties[0]
        if not entry.count_type:
            return None
        corners = (self.order + entry.type, (3,))
        layout = np.dtype([("count", self.order + entry.count_type), ("corners", *corners)])
        if len(self.content) - self.at < element.length * layout.itemsize:
            return None
        rows = np.frombuffer(self.content, layout, element.length, self.at)
        if not (rows["count"] == 3).all():
            return None
        self.at += element.length * layout.itemsize
        return rows["corners"]

    def _entry(self, element: _Element, entry: _Property) -> np.ndarray:
        count = 1
        if entry.count_type:
            count = int(self._take(element, np.dtype(self.order + entry.count_type), 1)[0])
        return self._take(element, np.dtype(self.order + entry.type), count)

    def _take(self, element: _Element, layout: np.dtype, count: int) -> np.ndarray:
        if count < 0 or len(self.content) - self.at < count * layout.itemsize:
            raise _truncated(self.path, element)
        rows = np.frombuffer(self.content, layout, count, self.at)
        self.at += count * layout.itemsize
        return rows


def _require_single(element: _Element, path: Path) -> None:
    if _list_position(element) is not None:
        raise DataError(f"{path}: vertices with lists are not supported; export plain vertices")


def _truncated(path: Path, element: _Element) -> DataError:
    return DataError(
        f"{path}: the file ends before its {element.length} {element.name} entries do; it is "
        "truncated, restore it from its source"
    )
