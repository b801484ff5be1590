"""What a collection costs a process before its first sample: time and memory, over its size.

    python tools/bench_manifest.py --samples 1000 1000000 10000000 --workers 0 2 8

The manifests are synthetic: names without files, so that ten million need no disk. Memory is what a
process has beyond its imports: of its own (anonymous pages), and mapped from files, which all
processes of a machine share.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SUFFIXES = {"left": (".jpg",), "right": (".wav",)}
_STEPS = 8  # that are loaded before memory is measured


def write_manifests(root: Path, count: int) -> None:
    """Of `count` files left and right, a thousand in a folder, which pair."""
    import pyarrow as pa

    from omnimask.data.kept import Columns, cache_folders, digest, write_columns

    place = cache_folders(root)[0]
    place.mkdir(exist_ok=True)
    for side, suffixes in SUFFIXES.items():
        folder = root / side
        folder.mkdir()
        then = time.time_ns() - 60 * 10**9
        os.utime(folder, ns=(then, then))
        key = digest("folder", str(folder.resolve()), sorted(suffixes))
        about = {"folder": str(folder), "endings": list(suffixes), "fingerprint": f"{side}{count}"}
        arrays = {
            "name": made_names(count, suffixes[0]),
            "folder": pa.array([""], pa.large_string()),
            "changed_ns": pa.array([folder.stat().st_mtime_ns], pa.int64()),
        }
        write_columns(place / f"{key}.json", Columns(arrays=arrays, about=about))


def made_names(count: int, suffix: str) -> Any:
    """000012/000012345.jpg and so on, as an Arrow array, without a Python string for any."""
    import numpy as np
    import pyarrow as pa

    numbers, length = np.arange(count), 16 + len(suffix)
    text = np.empty((count, length), dtype=np.uint8)
    for place in range(9):
        digit = (numbers % 10).astype(np.uint8) + ord("0")
        text[:, 15 - place] = digit
        if place >= 3:
            text[:, 8 - place] = digit
        numbers //= 10
    text[:, 6] = ord("/")
    text[:, 16:] = np.frombuffer(suffix.encode(), dtype=np.uint8)
    offsets = np.arange(count + 1, dtype=np.int64) * length
    return pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))


@dataclass(frozen=True, slots=True)
class Named:
    """A source of nothing: what it costs is what the list of its names costs."""

    found: Any

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int) -> str:
        return self.found.names[index]

    def label(self, index: int) -> None:
        return None

    def read(self, index: int, visit: object) -> dict[str, Any]:
        import torch

        return {"x": torch.tensor([float(len(self.name(index)))])}


@dataclass(frozen=True, slots=True)
class NamedFiles:
    side: str

    def open(self, root: str, modality: object) -> Named:
        from omnimask.data.folders import list_files

        return Named(list_files(root, self.side, SUFFIXES[self.side], what="names", labels="none"))


@dataclass(frozen=True, slots=True)
class Numbers:
    name: str

    def collate(self, samples: Any) -> dict[str, Any]:
        import torch

        return {"x": torch.stack([sample["x"] for sample in samples])}


@dataclass(frozen=True, slots=True)
class Collection:
    """As much of a recipe as a loader asks for."""

    root: str
    sides: tuple[str, ...]
    seed: int = 0

    @property
    def data(self) -> Any:
        from omnimask.recipe.settings import Data, Stream

        stream = Stream(name="both", files={s: NamedFiles(s) for s in self.sides}, batch_size=64)
        return Data(root=self.root, streams=(stream,))

    @property
    def optim(self) -> Any:
        from omnimask.recipe.settings import Optim

        return Optim(steps=1000)

    def modality(self, name: str) -> Numbers:
        return Numbers(name)


def memory_mb(process: int | str = "self") -> tuple[float, float]:
    """Of its own, and mapped from files."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    said = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return int(said["RssAnon"]) / 1024, int(said["RssFile"]) / 1024


def open_one(root: str, sides: tuple[str, ...], num_workers: int) -> dict[str, Any]:
    """In this process, which has done nothing but import."""
    from omnimask.data.loading import load_steps
    from omnimask.data.streams import Shard, Steps, StreamReader

    recipe: Any = Collection(root, sides)
    (stream,) = recipe.data.streams
    before = memory_mb()
    started, worked = time.perf_counter(), time.process_time()
    reader = StreamReader(stream, stream.files, recipe)
    opened_s, opened_cpu_s = time.perf_counter() - started, time.process_time() - worked
    steps = Steps(recipe, [reader], Shard())
    batches = load_steps(steps, num_workers=num_workers, pin_memory=False)
    first, *_ = [next(batches) for _ in range(_STEPS)]
    assert not isinstance(first, Exception), first
    ready_s = time.perf_counter() - started
    own, mapped = (now - then for now, then in zip(memory_mb(), before, strict=True))
    workers = [
        memory_mb(child.pid or 0)[0] - before[0] for child in multiprocessing.active_children()
    ]
    batches.close()
    return {
        "samples": len(reader),
        "workers": num_workers,
        "open_s": round(opened_s, 3),
        "open_cpu_s": round(opened_cpu_s, 3),
        "first_batches_s": round(ready_s, 3),
        "own_mb": round(own, 1),
        "mapped_mb": round(mapped, 1),
        "worker_own_mb": round(max(workers, default=0.0), 1),
    }


def apart(work: Callable[..., Any], *given: Any) -> Any:
    """In a process of its own, forked from this one, which has imported everything and done
    nothing with it.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=lambda: theirs.send(work(*given)))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def measure(counts: list[int], workers: list[int]) -> None:
    import pyarrow.compute
    import torch

    import omnimask.data.loading  # noqa: F401 imports are no part of what is measured

    print(f"# torch {torch.__version__}, pyarrow {pyarrow.__version__}, {os.cpu_count()} cores")
    for count in counts:
        with tempfile.TemporaryDirectory() as root:
            apart(write_manifests, Path(root), count)
            # The first start with a pair makes the join; those that are said find it.
            joined = apart(open_one, root, tuple(SUFFIXES), 0)
            print(
                f"# {count}: the first start of a pair takes {joined['open_cpu_s']} s of CPU",
                flush=True,
            )
            for sides in (("left",), ("left", "right")):
                for number in workers:
                    said = apart(open_one, root, sides, number)
                    print(json.dumps({"modalities": len(sides), **said}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, nargs="+", default=[10**n for n in range(3, 8)])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2, 8])
    arguments = parser.parse_args()
    measure(arguments.samples, arguments.workers)


if __name__ == "__main__":
    main()
