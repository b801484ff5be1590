"""Lists of files: a text file with a path in each line, or a CSV or Parquet table with a column
`path` and, if it likes, a column `label`."""

from collections.abc import Collection, Sequence
from pathlib import Path

from omnimask.data.file_list import FolderFiles, LabelsFrom
from omnimask.data.kept import Columns
from omnimask.data.names import Names
from omnimask.data.sources.listing import (
    fingerprint,
    fitting_end,
    listed_once,
    nothing_found,
    sorted_columns,
)
from omnimask.foundation.errors import DataError

LISTS = (".txt", ".csv", ".tsv", ".parquet")


def list_of_files(
    root: str, path: Path, suffixes: Collection[str], *, what: str, labels: LabelsFrom
) -> FolderFiles:
    """Paths are relative to the list's own folder, or absolute; a line with another suffix is left
    out, as a file in a folder is.
    """
    key = ("list", sorted(suffixes))
    kept = listed_once(root, key, [path], lambda: _scan(path, sorted(suffixes)))
    if not len(kept.arrays["name"]):
        raise nothing_found(path, what, suffixes)
    has_labels = kept.about["has_labels"]
    return FolderFiles(
        folder=str(path.parent),
        names=Names(kept.arrays["name"], kept.pointer),
        labels=labels,
        endings=frozenset(kept.about["endings"]),
        fingerprint=fingerprint(key, kept),
        classes=Names(kept.arrays["label"], kept.pointer, "label") if has_labels else None,
    )


def _scan(path: Path, suffixes: Sequence[str]) -> Columns:
    paths, classes = _columns(path)
    ends = [fitting_end(name, suffixes) for name in paths]
    kept = [place for place, end in enumerate(ends) if end is not None]
    found = sorted_columns(
        [paths[place] for place in kept],
        {"label": [classes[place] if classes else "" for place in kept]},
        where=path,
        endings={end for end in ends if end is not None},
    )
    return Columns(arrays=found.arrays, about={**found.about, "has_labels": bool(classes)})


def _columns(path: Path) -> tuple[list[str], list[str]]:
    """The paths and, where there is such a column, the labels."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix.lower() == ".txt":
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            return [line for line in lines if line.strip()], []
        if path.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(path, use_threads=False)
        else:
            mark = "\t" if path.suffix.lower() == ".tsv" else ","
            table = pyarrow.csv.read_csv(
                path,
                parse_options=pyarrow.csv.ParseOptions(delimiter=mark),
                convert_options=pyarrow.csv.ConvertOptions(
                    # As text: "007" is a class.
                    column_types={"path": pa.string(), "label": pa.string()}
                ),
            )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list of files: {error}") from error
    if "path" not in table.column_names:
        raise DataError(
            f"{path}: has no column 'path', only {', '.join(table.column_names)}; a list of files "
            "has a path in each row; rename the column (or, for bytes in a column, write "
            f"path='{path.name}#column')"
        )
    said = [
        ["" if value is None else str(value) for value in table.column(name).to_pylist()]
        if name in table.column_names
        else []
        for name in ("path", "label")
    ]
    return said[0], said[1]
