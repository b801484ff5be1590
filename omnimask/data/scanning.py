"""Reading a whole collection ahead of time: what is wrong with it, and a list of what is sound."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from torch.utils.data import DataLoader, Dataset

from omnimask.data.alignment import OfFiles
from omnimask.data.file_list import FolderFiles
from omnimask.data.reading import open_source, read_sample
from omnimask.foundation.errors import DataError
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.modality import Files, Source, Visit

_AT_ONCE = 64  # samples that a worker reads before it reports
_Wrong = dict[int, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scanned:
    """One `Files` record of a stream (`part`: "files" or "held_out"): how many samples it has, and
    the error of each that cannot be read, by name. `listed`: the list of the others, if it has one.
    """

    stream: str
    part: str
    modality: str
    samples: int
    wrong: Mapping[str, str]
    seconds: float
    listed: str | None = None


def scan(
    recipe: Recipe,
    out: Path,
    *,
    num_workers: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Scanned]:
    """Reads every sample of a recipe's streams once, as its statistics would be measured.

    Writes `out/report.json`, and for files of a folder or a list `out/<stream>.<part>.<modality>.
    parquet`: a list of the sound ones, which a recipe takes as `path`.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = []
    for stream in recipe.data.streams:
        parts: dict[str, Mapping[str, Files]] = {"files": stream.files}
        parts |= {"held_out": stream.held_out} if stream.held_out is not None else {}
        for part, of_part in parts.items():
            for modality, files in of_part.items():
                source = open_source(files, recipe.data.root, recipe.modality(modality))
                started = time.perf_counter()
                wrong = errors_of(source, num_workers=num_workers, progress=progress)
                sound = np.ones(len(source), dtype=bool)
                sound[list(wrong)] = False
                place = out / f"{stream.name}.{part}.{modality}.parquet"
                done.append(
                    Scanned(
                        stream=stream.name,
                        part=part,
                        modality=modality,
                        samples=len(source),
                        wrong={source.name(index): text for index, text in wrong.items()},
                        seconds=round(time.perf_counter() - started, 1),
                        listed=place.name if _write_list(source, sound, place) else None,
                    )
                )
    (out / "report.json").write_text(json.dumps([_said(one) for one in done], indent=1))
    return done


def _said(one: Scanned) -> dict[str, object]:
    names = ("stream", "part", "modality", "samples", "seconds", "listed", "wrong")
    return {name: getattr(one, name) for name in names}


def errors_of(
    source: Source, *, num_workers: int = 0, progress: Callable[[str], None] = lambda _: None
) -> _Wrong:
    """By place, why a sample cannot be read; the same whatever the number of workers."""
    starts = range(0, len(source), _AT_ONCE)
    loader = DataLoader(_Pieces(source), batch_size=None, sampler=starts, num_workers=num_workers)
    found: _Wrong = {}
    for number, wrong in enumerate(loader, 1):
        found |= wrong
        if number % 100 == 0 or number == len(starts):
            read = min(number * _AT_ONCE, len(source))
            progress(f"{read} of {len(source)} read, {len(found)} wrong")
    return found


class _Pieces(Dataset[_Wrong]):
    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, start: int) -> _Wrong:
        wrong: _Wrong = {}
        for index in range(start, min(start + _AT_ONCE, len(self.source))):
            try:
                read_sample(self.source, index, Visit(key=0, augment=False))
            except DataError as error:
                wrong[index] = str(error)
        return wrong


def _write_list(source: Source, sound: Bool[np.ndarray, " n"], place: Path) -> bool:
    """Whether it could be: members of shards and rows of tables have no path of their own.

    Paths are relative where the list lies above the files, else absolute.
    """
    import pyarrow as pa
    import pyarrow.parquet

    if not isinstance(source, OfFiles) or not isinstance(source.found, FolderFiles):
        return False
    found = source.found
    folder, top = Path(found.folder).resolve(), place.parent.resolve()
    before = str(folder.relative_to(top)) if folder.is_relative_to(top) else str(folder)

    def rows() -> Iterator[dict[str, str]]:
        for index in np.flatnonzero(sound).tolist():
            yield {"path": f"{before}/{found.names[index]}", "label": found.label(index) or ""}

    kind = pa.schema([("path", pa.string()), ("label", pa.string())])
    with pyarrow.parquet.ParquetWriter(place, kind) as writer:
        waiting: list[dict[str, str]] = []
        for row in rows():
            waiting.append(row)
            if len(waiting) == 65_536:
                writer.write_table(pa.Table.from_pylist(waiting, kind))
                waiting = []
        writer.write_table(pa.Table.from_pylist(waiting, kind))
    return True
