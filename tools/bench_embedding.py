"""How fast files become vectors, per modality: from files on disk to vectors in memory.

    python tools/bench_embedding.py runs/quickstart
    python tools/bench_embedding.py runs/quickstart --modalities image audio --repeats 9

Reads the held-out sample files (`data/sample`) as `omnimask embed` does, with the run's encoder, on
the GPU where there is one. After one warm-up, so that files come from the system's cache, every
repeat embeds all files, and reads all files without an encoder. Prints a Markdown table: the median
over repeats, and in brackets the smallest and the largest. A file of rows gives many samples.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnimask.foundation.errors import DataError, OmnimaskError
from omnimask.tokens.modality import Source, Visit
from omnimask.transfer.embedding.embed import open_embedder
from omnimask.transfer.embedding.listing import NotEmbedded
from omnimask.transfer.embedding.vectors import Embedder, EmbedOptions, Part
from recipes.sample_modalities import mixed_modalities

SAMPLES = Path("data/sample")
FOLDERS = {name: record.folder for name, record in mixed_modalities().items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Seconds of every repeat, for all files of one modality."""

    modality: str
    files: int
    samples: int
    whole: tuple[float, ...]
    reading: tuple[float, ...]

    @property
    def row(self) -> str:
        shares = [read / whole for read, whole in zip(self.reading, self.whole, strict=True)]
        cells = (
            self.modality,
            f"{self.files:,}",
            f"{self.samples:,}",
            _spread([self.files / seconds for seconds in self.whole], ".1f"),
            _spread([self.samples / seconds for seconds in self.whole], ".1f"),
            _spread(shares, ".0%"),
        )
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| modality | files | samples | files/s | samples/s | share of reading |\n"
    "|---|---:|---:|---:|---:|---:|"
)


def _spread(values: Sequence[float], how: str) -> str:
    return f"{statistics.median(values):{how}} ({min(values):{how}} – {max(values):{how}})"


def measure(run: Path, modality: str, *, repeats: int, batch_size: int) -> Speed:
    """DataError where a sample file has no vector: it would make the numbers better."""
    options = EmbedOptions(modality=(modality,), batch_size=batch_size)
    embedder = open_embedder(run, options)
    folder = SAMPLES / FOLDERS[modality] / "held_out"
    parts: list[Part] = []
    for part in embedder.parts([folder]):
        if isinstance(part, NotEmbedded):
            raise DataError(part.reason)
        parts.append(part)
    whole, reading = [], []
    for number in range(repeats + 1):
        # Without the table that the one before has open.
        fresh = Embedder(encoder=embedder.encoder, readings=embedder.readings, options=options)
        seconds = _seconds(_embed, fresh, parts), _seconds(_read, fresh, parts)
        if number:  # the first is the warm-up
            whole.append(seconds[0])
            reading.append(seconds[1])
    return Speed(
        modality=modality,
        files=len({path for part in parts for path in part.paths}),
        samples=sum(len(part.keys) for part in parts),
        whole=tuple(whole),
        reading=tuple(reading),
    )


def _seconds(
    work: Callable[[Embedder, Sequence[Part]], None], embedder: Embedder, parts: Sequence[Part]
) -> float:
    start = time.perf_counter()
    work(embedder, parts)
    return time.perf_counter() - start


def _embed(embedder: Embedder, parts: Sequence[Part]) -> None:
    """Vectors come back to the CPU, so that a GPU has finished when this returns."""
    for part in parts:
        for result in embedder.embed(part):
            if isinstance(result, NotEmbedded):
                raise DataError(result.reason)


def _read(embedder: Embedder, parts: Sequence[Part]) -> None:
    """The same samples as the encoder would get them; a table is opened once."""
    visit = Visit(key=0, augment=False)
    opened: tuple[str, Source] | None = None
    for part in parts:
        reading = embedder.readings[part.modality]
        if part.rows is None:
            for path in part.paths:
                reading.open(path).read(0, visit)
            continue
        if opened is None or opened[0] != part.paths[0]:
            opened = part.paths[0], reading.open(part.paths[0])
        for row, _ in part.rows:
            opened[1].read(row, visit)


def main(arguments: list[str] | None = None) -> int:
    from omnimask.foundation.hardware import hardware
    from omnimask.foundation.packages import check_our_packages

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run, checkpoint or encoder folder")
    parser.add_argument("--modalities", nargs="+", choices=list(FOLDERS), default=list(FOLDERS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args(arguments)
    check_our_packages()
    try:
        found = hardware()
        print(f"{found['cpu']}, {found['threads']} threads, GPU: {found['gpu']}\n\n{HEAD}")
        for modality in options.modalities:
            speed = measure(
                options.run, modality, repeats=options.repeats, batch_size=options.batch_size
            )
            print(speed.row, flush=True)
    except OmnimaskError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
