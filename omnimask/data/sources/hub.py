"""A column of bytes in a folder that Hugging Face `datasets` saved (`Dataset.save_to_disk`).

Its Arrow files are mapped, and a row is found without reading those before it. Images and sounds
are taken as the bytes of their files and decoded by the modality's own reader.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnimask.data.file_list import LabelsFrom
from omnimask.data.kept import Columns
from omnimask.data.names import Names
from omnimask.data.sources.listing import (
    fingerprint,
    fitting_end,
    listed_once,
    nothing_found,
    sorted_columns,
)
from omnimask.data.sources.parquet import bytes_of, check_column, names_of_rows
from omnimask.data.sources.stored import StoredFiles, check_name
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs

if TYPE_CHECKING:
    import pyarrow

_STATE = "state.json"
_ROWS_AT_ONCE = 1000


def is_saved_dataset(folder: Path) -> bool:
    return (folder / _STATE).is_file() and (folder / "dataset_info.json").is_file()


def hub_files(
    root: str,
    folder: Path,
    column: str,
    suffixes: Collection[str],
    *,
    what: str,
    labels: LabelsFrom,
) -> StoredFiles:
    """The rows whose column has bytes of one of the formats; a column `label` is the label."""
    needs("datasets", extra="huggingface", what=str(folder))
    store = SavedDataset(folder, column)
    key = ("hub", column, sorted(suffixes))
    files = [folder / _STATE, *sorted(folder.glob("*.arrow"))]
    kept = listed_once(root, key, files, lambda: _scan(store, sorted(suffixes)))
    where = f"{folder} (column {column})"
    if not len(kept.arrays["name"]):
        raise nothing_found(where, what, suffixes)
    has_labels = kept.about["has_labels"]
    return StoredFiles(
        folder=where,
        names=Names(kept.arrays["name"], kept.pointer),
        store=SavedDataset(folder, column, kept.arrays["row"]),
        labels=labels,
        endings=frozenset(kept.about["endings"]),
        fingerprint=fingerprint(key, kept),
        classes=Names(kept.arrays["label"], kept.pointer, "label") if has_labels else None,
    )


@dataclass(frozen=True, slots=True)
class SavedDataset:
    """By position in the index, the row of a dataset."""

    folder: Path
    column: str
    rows: "pyarrow.Array | None" = None
    opened: dict[str, Any] = field(default_factory=dict, repr=False)

    def read(self, index: int, /) -> bytes:
        assert self.rows is not None, "an index comes before what is read by it"
        row = self.table()[self.rows[index].as_py()]
        data = bytes_of(row.column(self.column))[0].as_py()
        if data is None:
            raise DataError(f"{self.folder}: has no bytes in a row that had some")
        return data

    def table(self) -> Any:
        """The dataset, rows of which are Arrow tables: nothing is decoded."""
        import datasets

        if not self.opened:
            try:
                found = datasets.load_from_disk(str(self.folder))
            except Exception as error:  # whatever a damaged file raises in it
                raise DataError(
                    f"{self.folder}: cannot be opened as a saved dataset "
                    f"({type(error).__name__}: {error}); save it anew"
                ) from error
            if not isinstance(found, datasets.Dataset):
                splits = ", ".join(map(str, found))
                raise DataError(f"{self.folder}: holds splits ({splits}); name one's folder")
            self.opened["features"] = found.features
            self.opened["table"] = found.with_format("arrow")
        return self.opened["table"]

    def __reduce__(self) -> tuple[object, ...]:
        return SavedDataset, (self.folder, self.column, self.rows)


def _scan(store: SavedDataset, suffixes: list[str]) -> Columns:
    table = store.table()
    check_column(table.data.schema, store.column, store.folder)
    kept, names, labels, endings = list[int](), list[str](), list[str](), set[str]()
    said = store.opened["features"].get("label")
    for start in range(0, len(table), _ROWS_AT_ONCE):
        rows = table[start : start + _ROWS_AT_ONCE]
        classes = _classes(rows, said)
        found = names_of_rows(rows.column(store.column), f"{start // _ROWS_AT_ONCE:05d}-")
        for row, name in enumerate(found):
            end = None if name is None else fitting_end(name, suffixes)
            if name is None or end is None:
                continue
            endings.add(end)
            kept.append(start + row)
            names.append(check_name(name, store.folder))
            labels.append(classes[row] if classes else "")
    if len(set(names)) < len(names):  # a path says where a file was, not always which one it was
        names = [f"{row:09d}/{name}" for row, name in zip(kept, names, strict=True)]
    others = {"row": kept, "label": labels}
    columns = sorted_columns(names, others, where=store.folder, endings=endings)
    return Columns(arrays=columns.arrays, about={**columns.about, "has_labels": said is not None})


def _classes(rows: Any, said: Any) -> list[str]:
    """Names of classes where the dataset has them."""
    if said is None:
        return []
    values = rows.column("label").to_pylist()
    named = getattr(said, "names", None)
    return ["" if v is None else str(named[v] if named and v >= 0 else v) for v in values]
