"""Damages real files and reads them: every one must be read, or be a DataError with its name.

    python tools/fuzz_readers.py data/sample --count 200 --out runs/fuzz.json

Of every format in the folder some files are taken, and `--count` damaged copies are made of each
format: cut off, with bytes changed in the header or anywhere, with a stretch of zeros, with a
stretch twice, or with numbers in a header set to their largest. A copy is a pure function of the
file and its number, so that `--format .ply --first 17 --count 1` makes one of them again. They are
read in processes of their own, each file with a limit of time and memory: a library may hang, eat
the memory or end its process. Printed and written is, by format, what came of how many, and the
first copies of each kind of failure. The exit status is 1 where anything but a sample or a
DataError came out.
"""

import argparse
import hashlib
import json
import multiprocessing
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

FINE = ("read", "refused")  # refused: a DataError that names the file
_HEADER = 256
_MOST_EXAMPLES = 3


@dataclass(kw_only=True, slots=True)
class FormatResult:
    """What came of the damaged copies of one format."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, outcome: str, text: str) -> None:
        self.counts[outcome] += 1
        if outcome not in FINE and len(self.examples.setdefault(outcome, [])) < _MOST_EXAMPLES:
            self.examples[outcome].append(text)


def damaged(data: bytes, number: int) -> bytes:
    """The `number`-th damaged copy; empty input stays empty."""
    seed = hashlib.sha256(f"{number}".encode() + data).digest()
    rng = np.random.default_rng(list(seed))
    changed = bytearray(data)
    if not changed:
        return data
    first = int(rng.integers(len(changed)))
    length = int(rng.integers(1, max(len(changed) // 4, 2)))
    match number % 6:
        case 0:
            del changed[first:]
        case 1 | 2:  # the header more often than chance would have it
            end = min(_HEADER, len(changed)) if number % 6 == 1 else len(changed)
            for place in rng.integers(end, size=int(rng.integers(1, 9))):
                changed[place] = int(rng.integers(256))
        case 3:
            changed[first : first + length] = bytes(len(changed[first : first + length]))
        case 4:
            changed[first:first] = changed[first : first + length]
        case 5:  # lengths and counts
            place = int(rng.integers(max(min(_HEADER, len(changed)) - 4, 1)))
            changed[place : place + 4] = b"\xff" * len(changed[place : place + 4])
    return bytes(changed)


def files_by_format(folder: Path) -> dict[str, list[Path]]:
    """Training files of the sample modalities, by suffix; at most four of each, the smallest."""
    from recipes.sample_modalities import SAMPLE_MODALITIES

    found: dict[str, list[Path]] = {}
    for name in sorted({part.folder for part in SAMPLE_MODALITIES.values()}):
        for path in sorted((folder / name).rglob("*")):
            if path.is_file():
                found.setdefault(f"{name}{path.suffix.lower()}", []).append(path)
    return {
        key: sorted(paths, key=lambda path: path.stat().st_size)[:4] for key, paths in found.items()
    }


def read_one(path: Path, part: str) -> tuple[str, str]:
    """What came of it, and what was said; in this process."""
    from omnimask.data.reading import open_source, read_sample
    from omnimask.foundation.errors import DataError
    from omnimask.tokens.modality import Visit
    from recipes.sample_modalities import SAMPLE_MODALITIES

    sample = next(each for each in SAMPLE_MODALITIES.values() if each.folder == part)
    try:
        source = open_source(sample.files("."), str(path.parent), sample.small)
        for index in range(min(len(source), 3)):
            read_sample(source, index, Visit(key=7))
    except DataError as error:
        named = path.name in str(error)
        return ("refused", "") if named else ("unnamed", str(error))
    except Exception as error:
        return type(error).__name__, str(error)
    return "read", ""


def _serve(connection: Connection, memory: int) -> None:
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    import recipes.sample_modalities  # noqa: F401  the time of importing is no file's

    connection.send("ready")
    while True:
        path, part = connection.recv()
        connection.send(read_one(Path(path), part))


class Reader:
    """A process that reads files; where it hangs or dies there is a new one for the next file."""

    def __init__(self, *, seconds: float, memory: int) -> None:
        self.seconds, self.memory = seconds, memory
        self.process: BaseProcess | None = None

    def read(self, path: Path, part: str) -> tuple[str, str]:
        if self.process is None:
            self._start()
        self.connection.send((str(path), part))
        if not self.connection.poll(self.seconds):
            self.stop()
            return "hangs", f"longer than {self.seconds:g} s"
        try:
            return self.connection.recv()
        except EOFError:
            assert self.process is not None
            self.process.join()
            status = self.process.exitcode
            self.stop()
            return "died", f"exit status {status}"

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.memory), daemon=True)
        process.start()
        self.process = process
        theirs.close()
        assert self.connection.recv() == "ready"

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def fuzz(
    folder: Path, *, only: str, first: int, count: int, seconds: float, memory: int
) -> dict[str, FormatResult]:
    """By format, what came of damaged copies `first` to `first + count`."""
    reader = Reader(seconds=seconds, memory=memory)
    results: dict[str, FormatResult] = {}
    for key, paths in files_by_format(folder).items():
        if only not in key:
            continue
        result = results[key] = FormatResult()
        for number in range(first, first + count):
            original = paths[number % len(paths)]
            with tempfile.TemporaryDirectory() as place:
                copy = Path(place, original.name)
                copy.write_bytes(damaged(original.read_bytes(), number))
                outcome, text = reader.read(copy, key.partition(".")[0])
            result.add(outcome, f"{original}, copy {number}: {text}")
        print(f"{key:16} {dict(result.counts)}", flush=True)
    reader.stop()
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="damaged files through every reader")
    parser.add_argument("folder", type=Path, help="what omnimask sample-data has made")
    parser.add_argument("--count", type=int, default=60, help="damaged copies per format")
    parser.add_argument("--first", type=int, default=0, help="number of the first copy")
    parser.add_argument("--format", default="", help="only formats with this in their name")
    parser.add_argument("--seconds", type=float, default=10.0, help="longest time for a file")
    parser.add_argument("--memory", type=int, default=24, help="address space in GiB")
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    said = parser.parse_args(arguments)
    results = fuzz(
        said.folder,
        only=said.format,
        first=said.first,
        count=said.count,
        seconds=said.seconds,
        memory=said.memory << 30,
    )
    for key, result in results.items():
        for outcome, examples in result.examples.items():
            print(f"\n{key}: {outcome}", *examples, sep="\n  ")
    if said.out is not None:
        said.out.parent.mkdir(parents=True, exist_ok=True)
        whole = {key: asdict(result) for key, result in results.items()}
        said.out.write_text(json.dumps(whole, indent=1) + "\n")
    return int(any(set(result.counts) - set(FINE) for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
