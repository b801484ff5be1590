"""Names by number, in an Arrow column: ten million take no more memory than their bytes, and those
of a kept column none of a process's own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import pyarrow

_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Names(Sequence[str]):
    """`pointer` and `column` say where they are kept, if they are; another process then maps them
    rather than being sent them.
    """

    array: "pyarrow.LargeStringArray"
    pointer: Path | None = None
    column: str = "name"

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Names": ...
    def __getitem__(self, index: int | slice) -> "str | Names":
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError(f"names are cut in steps of 1, got {step}")
            return Names(self.array.slice(start, max(stop - start, 0)))
        return self.array[index].as_py()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self.array.slice(start, _AT_ONCE).to_pylist()

    def __reduce__(self) -> tuple[Any, ...]:
        if self.pointer is None:
            return Names, (self.array,)
        return kept_names, (self.pointer, self.column)


def kept_names(pointer: Path, column: str = "name") -> Names:
    from omnimask.data.kept import read_columns

    return Names(read_columns(pointer).arrays[column], pointer, column)


def column_of(names: Sequence[str]) -> "pyarrow.LargeStringArray":
    """Any names as an Arrow array."""
    import pyarrow as pa

    if isinstance(names, Names):
        return names.array
    return pa.array(names, pa.large_string())


def stems_of(names: Sequence[str]) -> "pyarrow.LargeStringArray":
    """Without the last suffix of the last part, as `PurePath.with_suffix("")` has it."""
    import pyarrow.compute as pc

    return pc.replace_substring_regex(  # pyright: ignore[reportAttributeAccessIssue] pyarrow.compute makes its functions at import
        column_of(names), pattern=r"([^/])\.[^./]+$", replacement=r"\1"
    )
