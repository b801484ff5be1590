"""Many scenes of the world into a folder: in parallel, resumable, each file in one rename.

A file is a function of (seed, scene, sense); what is there already is kept, so a run that was
killed goes on where it was, and a longer one adds to a shorter one.
"""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omnimask.foundation.errors import DataError, RecipeError, nearest_names
from omnimask.sample_data.world.factors import Scene, as_row, draw_scene
from omnimask.sample_data.world.layout import FOLDERS, SENSES, SUFFIXES, Place, place_of, scenes_for

VERSION = 2
"""Goes up when the content changes."""

MANIFEST = "world.json"
FACTORS = "factors.parquet"
TABLE = "objects.csv"
MAPS = ("depth", "semantic")
"""Beside the image, below `maps/<split>`; `rgb` is a link to the images."""
_SCENES_PER_JOB = 32

Job = Sequence[tuple[int, tuple[str, ...]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Of one job: the factors of its scenes, and the table's rows by split."""

    factors: list[dict[str, Any]]
    table: dict[str, list[dict[str, Any]]]


def generate(
    root: Path,
    *,
    scenes: int,
    senses: Sequence[str] = SENSES,
    seed: int = 0,
    processes: int = 2,
) -> None:
    """Makes `scenes` scenes per sense in `root`; with `processes` 0, in this process.

    RecipeError for an unknown sense; DataError for a folder that holds something else.
    """
    _check(root, scenes, senses)
    counts = _counts(root, scenes, senses, seed)
    _remove_halves(root)
    _write_manifest(root, counts, seed, complete=False)
    who = _who(counts)
    numbers = list(who)
    jobs: list[Job] = [
        [(number, who[number]) for number in numbers[first : first + _SCENES_PER_JOB]]
        for first in range(0, len(numbers), _SCENES_PER_JOB)
    ]
    start_s = time.perf_counter()
    rows: list[Rows] = []
    with _applied(processes) as apply:
        for done, part in enumerate(apply(partial(_do, root, seed), jobs), start=1):
            rows.append(part)
            if done % 50 == 0 or done == len(jobs):
                took_s = time.perf_counter() - start_s
                print(f"{done} of {len(jobs)} jobs after {took_s:.0f} s", flush=True)
    _write_tables(root, rows)
    _link_images(root)
    _write_manifest(root, counts, seed, complete=True)


def _check(root: Path, scenes: int, senses: Sequence[str]) -> None:
    for sense in senses:
        if sense not in SENSES:
            raise RecipeError(f"unknown sense {sense!r}; {nearest_names(sense, SENSES)}")
    if scenes < 1:
        raise RecipeError(f"scenes must be at least 1, got {scenes}")
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; name a folder for the world")
    if root.exists() and any(root.iterdir()) and not (root / MANIFEST).is_file():
        raise DataError(
            f"{root} has files in it that are no world (no {MANIFEST}), so it is left as it is; "
            "name another folder, or remove this one yourself"
        )


def _counts(root: Path, scenes: int, senses: Sequence[str], seed: int) -> dict[str, int]:
    """Files per sense, those that the folder has already included."""
    there: dict[str, int] = {}
    if (root / MANIFEST).is_file():
        manifest = json.loads((root / MANIFEST).read_text())
        for key, wanted in (("version", VERSION), ("seed", seed)):
            if manifest[key] != wanted:
                raise DataError(
                    f"{root} is a world of {key} {manifest[key]}, not {wanted}; name another "
                    "folder, or remove this one yourself"
                )
        there = manifest["scenes"]
    wanted = dict.fromkeys(senses, scenes)
    return {
        sense: max(there.get(sense, 0), wanted.get(sense, 0))
        for sense in SENSES
        if sense in there or sense in wanted
    }


def _remove_halves(root: Path) -> None:
    """What a run that was killed had not yet put in place."""
    manifest = root / MANIFEST
    if manifest.is_file() and not json.loads(manifest.read_text())["complete"]:
        for path in root.rglob(".*"):
            path.unlink()


def _who(counts: Mapping[str, int]) -> dict[int, tuple[str, ...]]:
    """Of every scene, who sees it."""
    seen: dict[int, tuple[str, ...]] = {}
    for sense, count in counts.items():
        for number in scenes_for(count, (sense,)):
            seen[number] = (*seen.get(number, ()), sense)
    return dict(sorted(seen.items()))


@contextmanager
def _applied(processes: int) -> Iterator[Any]:
    """`map` over processes, or in this one; the results come in order."""
    if not processes:
        yield map
        return
    # Spawned, not forked: a fork would copy the locks of whatever threads run here. One thread
    # each, and Ctrl-C reaches every process: this one alone answers it.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _do(root: Path, seed: int, job: Job) -> Rows:
    rows = Rows(factors=[], table={})
    for number, senses in job:
        scene = draw_scene(seed, number)
        rows.factors.append(as_row(scene))
        row = observe_missing(scene, senses, root)
        if row is not None:
            rows.table.setdefault(scene.split, []).append(row)
    return rows


def observe_missing(scene: Scene, senses: Sequence[str], root: Path) -> dict[str, Any] | None:
    """Writes the files that are not there yet, and returns the scene's row if the table has it."""
    place = place_of(scene.number, scene.subject.shape.family)
    due = [sense for sense in senses if sense in SUFFIXES and not (root / place.of(sense)).exists()]
    if not due and "table" not in senses:
        return None
    from omnimask.sample_data.world import row
    from omnimask.sample_data.world.stage import build

    stage = build(scene)
    for sense in due:
        for path, data in _OBSERVERS[sense](stage, place):
            write_whole(root / path, data)
    return row.observe(stage, place.name) if "table" in senses else None


def _image(stage: Any, place: Place) -> list[tuple[str, bytes]]:
    """The picture last: where it is, so are its maps."""
    from omnimask.sample_data.world import image

    colour, depth, classes = image.observe(stage)
    maps = zip(MAPS, (depth, classes), strict=True)
    return [
        *((f"maps/{place.split}/{m}/{place.name}.png", image.png(x)) for m, x in maps),
        (place.of("image"), image.jpeg(colour)),
    ]


def _video(stage: Any, place: Place) -> list[tuple[str, bytes]]:
    from omnimask.sample_data.world import clip, sound

    return [(place.of("video"), clip.mp4(clip.observe(stage), sound.observe(stage.scene)))]


def _audio(stage: Any, place: Place) -> list[tuple[str, bytes]]:
    from omnimask.sample_data.world import sound

    return [(place.of("audio"), sound.flac(sound.observe(stage.scene)))]


def _points(stage: Any, place: Place) -> list[tuple[str, bytes]]:
    from omnimask.sample_data.world import cloud

    return [(place.of("points"), cloud.ply(cloud.observe(stage)))]


def _voxels(stage: Any, place: Place) -> list[tuple[str, bytes]]:
    from omnimask.sample_data.world import sweep

    return [(place.of("voxels"), sweep.kitti(sweep.observe(stage)))]


_OBSERVERS = {
    "image": _image,
    "video": _video,
    "audio": _audio,
    "points": _points,
    "voxels": _voxels,
}


def write_whole(path: Path, data: bytes) -> None:
    """Under another name first: nobody ever meets half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
    part.replace(path)


def _write_tables(root: Path, parts: Sequence[Rows]) -> None:
    import pandas as pd

    factors = pd.DataFrame([row for part in parts for row in part.factors])
    part = root / f".{FACTORS}.{os.getpid()}"
    factors.to_parquet(part, index=False)
    part.replace(root / FACTORS)
    for split in ("train", "held_out"):
        rows = [row for part in parts for row in part.table.get(split, ())]
        if rows:
            text = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
            write_whole(root / FOLDERS["table"] / split / TABLE, text.encode())


def _link_images(root: Path) -> None:
    for folder in (root / FOLDERS["image"]).glob("*"):
        link = root / "maps" / folder.name / "rgb"
        if not link.is_symlink():
            link.symlink_to(Path("../..", FOLDERS["image"], folder.name))


def _write_manifest(root: Path, counts: Mapping[str, int], seed: int, *, complete: bool) -> None:
    manifest = {
        "tool": "tools/make_sample_data.py --scenes",
        "version": VERSION,
        "seed": seed,
        "scenes": dict(counts),
        "complete": complete,
    }
    write_whole(root / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
