"""The vectors of a file written by `omnimask embed`, in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs
from omnimask.transfer.embedding.store import Made, made_of
from omnimask.transfer.embedding.vectors import Key


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorTable:
    """All vectors of one encoder, in the order of the file. `names` of keys: see `name_of`."""

    made: Made
    keys: tuple[Key, ...]
    modalities: tuple[str, ...]
    labels: tuple[str | None, ...]
    vectors: Float32[np.ndarray, "n d"]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(name_of, self.keys))


def open_features(path: Path | str) -> VectorTable:
    """DataError where there is no such file, it is another kind of file, or it has no vector."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no {path.absolute()}; write it with `omnimask embed`")
    made = made_of(path)
    needs("pyarrow", extra="tabular")
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path).combine_chunks()
    if not table.num_rows:
        raise DataError(f"{path} has no vector; embed some files into it")
    columns = {n: table.column(n).to_pylist() for n in ("path", "row", "modality", "label")}
    flat = table.column("vector").combine_chunks().flatten().to_numpy()
    return VectorTable(
        made=made,
        keys=tuple(Key(path=p, row=r) for p, r in zip(columns["path"], columns["row"])),
        modalities=tuple(columns["modality"]),
        labels=tuple(columns["label"]),
        vectors=flat.reshape(table.num_rows, made.width).astype(np.float32),
    )


def name_of(key: Key) -> str:
    """The path, and "#row 12" for a row of a table."""
    return key.path if key.row is None else f"{key.path}#row {key.row}"
