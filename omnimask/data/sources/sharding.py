"""Any source as tar shards: balanced, with checksums, by several processes, going on where it was.

The plan comes first and is written down: which samples lie in which shard. A shard is written
beside its place and put there whole, with a line about it; one that is there is not made again. The
same source gives the same bytes.
"""

import hashlib
import io
import json
import multiprocessing
import os
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from omnimask.data.file_list import FileList
from omnimask.data.kept import digest
from omnimask.data.names import stems_of
from omnimask.foundation.errors import DataError

PLAN, INDEX = "plan.json", "index.json"
_BLOCK = 512  # bytes of a tar archive, and of the header of each member
_AT_ONCE = 4096  # files that a process measures in one go
_Run = Callable[..., Callable[[], Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharded:
    """What was made: shards in all, of them new, samples, bytes of the shards."""

    shards: int
    new: int
    samples: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """`order`: the files so that those of one stem are neighbours; `starts` of every shard in it,
    and the end. `samples`: stems.
    """

    order: Int64[np.ndarray, " files"]
    starts: Int64[np.ndarray, " shards_and_end"]
    samples: int

    def state(self, found: FileList) -> dict[str, Any]:
        return {
            "source": found.folder,
            "files": len(self.order),
            "starts": self.starts.tolist(),
            "names": digest(found.fingerprint, [found.names[0], found.names[-1]]),
        }


def shard(
    found: FileList,
    out: Path,
    *,
    shard_mb: int = 512,
    num_workers: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> Sharded:
    """Writes `out/shard-00000.tar` and so on, about `shard_mb` MiB each, and `out/index.json`.

    DataError where `out` holds the shards of something else, or a file cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _pool(num_workers) as run:
        plan = planned(found, shard_mb << 20, _sizes(found, run))
        _claim(out, plan.state(found))
        numbers = range(len(plan.starts) - 1)
        left = [n for n in numbers if not _is_done(out, n)]
        waiting = [run(_write, found, plan.order[slice(*_part(plan, n))], out, n) for n in left]
        for done, number in enumerate(waiting, 1):
            progress(f"shard {number()} ({done} of {len(left)})")
    entries = [json.loads(_said(out, number).read_text()) for number in numbers]
    _put(out / INDEX, json.dumps({"samples": plan.samples, "shards": entries}, indent=1))
    lines = "".join(f"{entry['sha256']}  {entry['file']}\n" for entry in entries)
    _put(out / "SHA256SUMS", lines)
    total = sum(entry["bytes"] for entry in entries)
    return Sharded(shards=len(entries), new=len(left), samples=plan.samples, bytes=total)


def planned(found: FileList, size: int, sizes: Int64[np.ndarray, " files"]) -> Plan:
    """Shards of nearly equal bytes, as many as make them `size` bytes or less on average."""
    import pyarrow.compute as pc

    stems = stems_of(found.names)
    order = pc.sort_indices(stems).to_numpy().astype(np.int64)  # pyright: ignore[reportAttributeAccessIssue] pyarrow.compute makes its functions at import
    in_order = stems.take(order)
    begins = np.ones(len(order), dtype=bool)
    if len(order) > 1:
        alike = pc.equal(in_order[1:], in_order[:-1])  # pyright: ignore[reportAttributeAccessIssue] see above
        begins[1:] = ~alike.to_numpy(zero_copy_only=False)
    ends = np.cumsum(_BLOCK + -(-sizes[order] // _BLOCK) * _BLOCK)
    count = max(-(-int(ends[-1]) // size), 1)
    samples = np.flatnonzero(begins)
    before = np.concatenate([[0], ends[:-1]])[samples]  # bytes before each sample
    cuts = np.searchsorted(before, np.arange(count) * (ends[-1] / count))
    starts = np.unique(samples[np.minimum(cuts, len(samples) - 1)])
    return Plan(order=order, starts=np.append(starts, len(order)), samples=len(samples))


def _part(plan: Plan, number: int) -> tuple[int, int]:
    return int(plan.starts[number]), int(plan.starts[number + 1])


def _sizes(found: FileList, run: _Run) -> Int64[np.ndarray, " files"]:
    starts = range(0, len(found), _AT_ONCE)
    waiting = [run(_measure, found, start, min(start + _AT_ONCE, len(found))) for start in starts]
    return np.concatenate([part() for part in waiting])


def _measure(found: FileList, start: int, stop: int) -> Int64[np.ndarray, " k"]:
    sizes = []
    for index in range(start, stop):
        with found.local(index) as path:
            sizes.append(_status(path).st_size)
    return np.array(sizes, dtype=np.int64)


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); list the source anew") from error


def _claim(out: Path, state: dict[str, Any]) -> None:
    place = out / PLAN
    if not place.exists():
        if any(out.iterdir()):
            raise DataError(f"{out} is not empty and holds no shards; choose another --out")
        _put(place, json.dumps(state))
    elif json.loads(place.read_text()) != state:
        raise DataError(
            f"{out} holds shards of another source, of other files in it, or of another size; "
            "choose another --out, or remove it"
        )


def _file(out: Path, number: int) -> Path:
    return out / f"shard-{number:05d}.tar"


def _said(out: Path, number: int) -> Path:
    return out / f"shard-{number:05d}.json"


def _is_done(out: Path, number: int) -> bool:
    """What is said of a shard is written after it; its length tells whether somebody cut it."""
    try:
        said = json.loads(_said(out, number).read_text())
        return _file(out, number).stat().st_size == said["bytes"]
    except (OSError, ValueError, KeyError):
        return False


def _write(found: FileList, files: Int64[np.ndarray, " k"], out: Path, number: int) -> str:
    target = _file(out, number)
    temporary = target.with_suffix(".tar.tmp")
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        for index in files.tolist():
            with found.local(index) as path:
                data = _content(path)
            member = tarfile.TarInfo(str(found.names[index]))
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    said = {
        "file": target.name,
        "files": len(files),
        "bytes": temporary.stat().st_size,
        "sha256": _sha256(temporary),
    }
    temporary.replace(target)
    _put(_said(out, number), json.dumps(said))
    return target.name


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); list the source anew") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(text)
    unfinished.replace(path)


@contextmanager
def _pool(num_workers: int) -> Iterator[_Run]:
    """Hands work to processes, or does it when its result is asked for."""
    if num_workers <= 1:
        yield lambda work, *given: lambda: work(*given)
        return
    # Started afresh: Arrow has threads, which a fork would tear.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, mp_context=context)
    try:
        yield lambda work, *given: pool.submit(work, *given).result
    finally:
        pool.shutdown(cancel_futures=True)
