"""Writes the sample data: a small labelled data set for every modality, made on this machine.

Nothing is downloaded. Digits, photographs and tables come from inside the scikit-learn and
scikit-image packages; sounds, shapes, clips, LiDAR sweeps and scenes are computed. The folder
appears at its place in one rename when everything in it is written; parts that it lacks are written
beside it and moved in, so that others may read it meanwhile.
"""

import hashlib
import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from omnimask.foundation.errors import DataError, RecipeError, nearest_names
from omnimask.sample_data import PARTS, part_module
from omnimask.sample_data.files import FileJob, file_generator

VERSION = 1
"""Goes up when the content changes; a folder of another version is made anew."""

_NEEDED_PACKAGES = (
    *("PIL", "av", "nibabel", "open3d", "pandas", "pyarrow", "scipy", "skimage", "sklearn"),
    *("soundfile", "tifffile"),
)
_MANIFEST = "manifest.json"
_TOOL = "tools/make_sample_data.py"  # where it was when the first folders were made
_CHUNKS_PER_WORKER = 6


def make_sample_data(
    root: Path,
    *,
    parts: Sequence[str] = PARTS,
    seed: int = 0,
    scale: float = 1.0,
    force: bool = False,
    workers: int = 2,
) -> bool:
    """Make the folder `root` with the named parts; False if it was there and complete.

    `scale` in (0, 1] shortens every list of files. Parts that are there, whole and in the same
    version, seed and scale, are kept; `force` makes the named ones anew. What was made with other
    settings goes. With `workers` 0 all is written in this process.

    Raises DataError for a folder this tool did not make, and RecipeError for an unknown part.
    """
    _check_request(root, parts, scale)
    wanted = {"tool": _TOOL, "version": VERSION, "seed": seed, "scale": scale}
    there = _complete_parts(root, wanted)
    due = [part for part in PARTS if part in parts and (force or part not in there)]
    if not due:
        print(f"{root} is complete: {', '.join(there)}; nothing to do (--force makes it anew)")
        return False
    fresh = root.with_name(f".{root.name}.partial-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    kept = {part: files for part, files in there.items() if part not in due}
    try:
        _write_parts(due, fresh, seed=seed, scale=scale, workers=workers)
        _write_readme_and_manifest(fresh, wanted, kept=kept)
        _put_in_place(fresh, root, kept=kept)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def _check_request(root: Path, parts: Sequence[str], scale: float) -> None:
    for part in parts:
        if part not in PARTS:
            raise RecipeError(f"unknown part {part!r}; {nearest_names(part, PARTS)}")
    if not 0 < scale <= 1:
        raise RecipeError(f"scale must be in (0, 1], got {scale}")
    missing = [name for name in _NEEDED_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise DataError(
            f"{root}: the sample data needs the packages {', '.join(missing)}; "
            "run `uv pip install 'omnimask[sample-data]'`"
        )
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; name a folder for the sample data")
    if root.exists() and any(root.iterdir()) and not (root / _MANIFEST).is_file():
        raise DataError(
            f"{root} has files in it that this tool did not write (no {_MANIFEST}), so it is left "
            "as it is; name another folder, or remove this one yourself"
        )


def _complete_parts(root: Path, wanted: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The parts in `root` made with the `wanted` settings, whose files are all there unchanged."""
    manifest_path = root / _MANIFEST
    if not manifest_path.is_file():
        return {}
    manifest = json.loads(manifest_path.read_text())
    if {key: manifest.get(key) for key in wanted} != wanted:
        return {}
    return {
        part: entry["sha256"]
        for part, entry in manifest["parts"].items()
        if entry["sha256"] == _hashes(root, part)
    }


def _hashes(root: Path, part: str) -> dict[str, str]:
    """The SHA-256 of each file of a part, by path below `root`."""
    files = sorted(path for path in (root / part).rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _write_parts(
    parts: Sequence[str], folder: Path, *, seed: int, scale: float, workers: int
) -> None:
    # Spawned, not forked: a fork would copy the locks of whatever threads run here. One pool for
    # all parts, as the packages take seconds to import.
    context = multiprocessing.get_context("spawn")
    pool = None
    if workers:
        # Ctrl-C reaches every process; this one alone answers it.
        ignore = (signal.SIGINT, signal.SIG_IGN)
        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=signal.signal, initargs=ignore
        )
    try:
        for part in parts:
            start_s = time.perf_counter()
            jobs = part_module(part).jobs(scale)
            for parent in {(folder / job.path).parent for job in jobs}:
                parent.mkdir(parents=True, exist_ok=True)
            step = -(-len(jobs) // (max(workers, 1) * _CHUNKS_PER_WORKER))
            chunks = [jobs[first : first + step] for first in range(0, len(jobs), step)]
            apply = pool.map if pool else map
            for _ in apply(partial(_write_files, part, folder, seed), chunks):
                pass
            took_s = time.perf_counter() - start_s
            count = sum(path.is_file() for path in (folder / part).rglob("*"))
            print(f"{part:8} {count:5} files  {took_s:5.1f} s", flush=True)
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


def _write_files(part: str, folder: Path, seed: int, jobs: Iterable[FileJob]) -> None:
    module = part_module(part)
    for job in jobs:
        module.write(job, folder, file_generator(seed, job.path))


def _write_readme_and_manifest(
    folder: Path, wanted: dict[str, Any], *, kept: dict[str, dict[str, str]]
) -> None:
    """Of the parts in `folder` and those that are `kept` elsewhere, given with their hashes."""
    from omnimask.sample_data.readme import readme_text

    made = {part: _hashes(folder, part) for part in PARTS if (folder / part).is_dir()}
    both = {**kept, **made}
    parts = {part: both[part] for part in PARTS if part in both}
    (folder / "README.md").write_text(readme_text(parts), encoding="utf-8", newline="\n")
    entries = {part: {"count": len(files), "sha256": files} for part, files in parts.items()}
    manifest = {**wanted, "parts": entries}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", newline="\n")


def _put_in_place(fresh: Path, root: Path, *, kept: Iterable[str]) -> None:
    """`fresh` becomes `root`, but for the parts to be `kept`, which stay as they are.

    What else was at `root` is removed after. The manifest comes last: interrupted before, the next
    run finds that files and hashes disagree and makes those parts anew.
    """
    old = root.with_name(f".{root.name}.old-{os.getpid()}")
    if not set(kept):
        if root.exists():
            root.rename(old)
        fresh.rename(root)
    else:
        old.mkdir()
        for path in sorted(root.iterdir()):
            if path.is_dir() and path.name not in kept:
                path.rename(old / path.name)
        for path in sorted(fresh.iterdir(), key=lambda path: path.name == _MANIFEST):
            path.replace(root / path.name)
    shutil.rmtree(old, ignore_errors=True)
