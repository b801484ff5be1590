"""The files of one kind that a `Files` record names: in a folder, or what else holds files."""

import glob
import re
from collections.abc import Collection
from pathlib import Path, PurePath

from omnimask.data.file_list import FileList, FolderFiles, LabelsFrom
from omnimask.data.manifest import manifest_of
from omnimask.data.sources.hub import hub_files, is_saved_dataset
from omnimask.data.sources.lists import LISTS, list_of_files
from omnimask.data.sources.parquet import parquet_files
from omnimask.data.sources.remote import is_url, remote_files
from omnimask.data.sources.tar import tar_files
from omnimask.foundation.errors import DataError

_COLUMN = re.compile(r"(?P<tables>.+\.parquet)#(?P<column>[^/#]+)")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def suffix_of(path: str | PurePath, known: Collection[str]) -> str:
    """The longest of `known` suffixes (lower case, with the dot) that the name ends in, ".nii.gz"
    before ".gz"; what follows its last dot where it is none of them.
    """
    name = PurePath(path).name.lower()
    fitting = [suffix for suffix in known if name.endswith(suffix) and name != suffix]
    return max(fitting, key=len, default=PurePath(name).suffix)


def list_files(
    root: str, path: str, suffixes: Collection[str], *, what: str, labels: LabelsFrom
) -> FileList:
    """Lists files by suffix (lower case, with the dot) in `root/path`, in order of their names.

    `path` is a folder (linked folders below it, too); tar shards ("shards/*.tar",
    "train-{000..127}.tar"); a list of files (.txt, .csv, .tsv, .parquet); a column of bytes of
    tables ("tables/*.parquet#image") or of a folder that `datasets` saved ("saved#image"); or, as
    `root` may be, a URL ("s3://bucket/images"). `what` names the kind of file in errors. DataError
    where there is no such place or no such file.
    """
    if is_url(root) or is_url(path):
        return remote_files(root, path, suffixes, what=what, labels=labels)
    in_column = _COLUMN.fullmatch(path)
    if in_column:
        tables = _matching(root, in_column["tables"], f"Parquet tables of {what}")
        column = in_column["column"]
        return parquet_files(root, tables, column, suffixes, what=what, labels=labels)
    saved, _, column = path.rpartition("#")
    if column and is_saved_dataset(Path(root, saved)):
        return hub_files(root, Path(root, saved), column, suffixes, what=what, labels=labels)
    if path.endswith(".tar"):
        shards = _matching(root, path, f"shards of {what}")
        return tar_files(root, shards, suffixes, what=what, labels=labels)
    folder = Path(root, path)
    if folder.is_file() and folder.suffix.lower() in LISTS:
        return list_of_files(root, folder, suffixes, what=what, labels=labels)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of {what}; check data.root and `path`")
    found = manifest_of(root, folder, suffixes)
    if not found.names:
        expected = ", ".join(sorted(suffixes))
        raise DataError(f"{folder}: holds no {what}; expected files ending in {expected}")
    return FolderFiles(
        folder=str(folder),
        names=found.names,
        labels=labels,
        endings=found.endings,
        fingerprint=found.fingerprint,
    )


def _matching(root: str, pattern: str, what: str) -> list[Path]:
    """The files that a pattern names, sorted; with {000..127} each of them has to be there."""
    full = str(Path(root, pattern))
    counted = _RANGE.search(full)
    if counted:
        first, last = counted.groups()
        numbers = (f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1))
        paths = [Path(full.replace(counted[0], number, 1)) for number in numbers]
    else:
        paths = [Path(found) for found in sorted(glob.glob(full))]  # noqa: PTH207 the pattern may be absolute
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        raise DataError(
            f"{missing[0] if missing else full}: there are no such {what}; check data.root and "
            "`path`"
        )
    return paths
