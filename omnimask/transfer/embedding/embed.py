"""`embed`: any mix of files to vectors in a Parquet file."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from omnimask.tokens.modality import Files
from omnimask.transfer.embedding.file_reader import readings_of, recorded_files
from omnimask.transfer.embedding.listing import NotEmbedded
from omnimask.transfer.embedding.store import Made, Store
from omnimask.transfer.embedding.vectors import Embedder, Embedding, EmbedOptions
from omnimask.transfer.loading import load_encoder
from omnimask.transfer.pretrained_encoder import PretrainedEncoder, check_pooling


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedded:
    """What a call did. `vectors` are now in `out`, `new` of them made by this call in `seconds`;
    `skipped` were there. `failed` files are listed in `bad`, and so are `unknown` ones: files of
    other kinds that lay in the folders.
    """

    out: Path
    bad: Path
    vectors: int
    new: int
    skipped: int
    failed: int
    unknown: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.new / self.seconds if self.seconds > 0 else 0.0


def embed(
    encoder: PretrainedEncoder | Path | str,
    paths: Sequence[Path | str],
    out: Path | str,
    *,
    options: EmbedOptions | None = None,
    files: Mapping[str, Files] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Embedded:
    """One vector per file below `paths`, and per row of tables, of the whole sample unmasked, in
    the centre view of held-out samples. `out` is a Parquet file with the columns path, row,
    modality, label, model (hash), pooling and vector.

    A call that was interrupted goes on where it stopped; a later call adds what is new. Files
    without a vector are listed with the reason in `<stem of out>.bad.jsonl` beside it.

    `encoder` may be a run, checkpoint or encoder folder; of a run, files are read with the options
    of its recipe. `files` says how else. Tables are read whole, other files one at a time.

    RecipeError where `out` has another encoder's vectors, a suffix could be of two modalities, or
    for [CLS] of an encoder without one. DataError for a path that is not there.
    """
    options, out = options or EmbedOptions(), Path(out)
    embedder = open_embedder(encoder, options, files)
    info = embedder.encoder.info
    made = Made(
        model=embedder.encoder.hash(),
        encoder=info.name,
        pooling=options.pooling,
        width=info.encoder.width,
    )
    store = Store(out, made)
    return _run(embedder, store, paths, progress)


def iter_embeddings(
    encoder: PretrainedEncoder | Path | str,
    paths: Sequence[Path | str],
    *,
    options: EmbedOptions | None = None,
    files: Mapping[str, Files] | None = None,
) -> Iterator[Embedding | NotEmbedded]:
    """The same without a file: vectors one by one, and what has none and why."""
    embedder = open_embedder(encoder, options or EmbedOptions(), files)
    for part in embedder.parts(paths):
        if isinstance(part, NotEmbedded):
            yield part
        else:
            yield from embedder.embed(part)


def open_embedder(
    encoder: PretrainedEncoder | Path | str,
    options: EmbedOptions,
    files: Mapping[str, Files] | None = None,
) -> Embedder:
    """On the GPU where there is one and the encoder is named by its folder."""
    recorded: dict[str, Files] = {}
    if not isinstance(encoder, PretrainedEncoder):
        import torch

        path = Path(encoder)
        encoder = load_encoder(path)
        recorded = recorded_files(path)
        encoder = encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    check_pooling(encoder.info, options.pooling)
    readings = readings_of(encoder.info.modalities, {**recorded, **(files or {})})
    return Embedder(encoder=encoder.eval(), readings=readings, options=options)


class _Tally:
    """What came of the files; those without a vector are listed as they are met."""

    def __init__(self, bad: TextIO) -> None:
        self._bad = bad
        self.new = self.skipped = self.failed = self.unknown = 0
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    def vectors(self, results: Iterable[Embedding | NotEmbedded]) -> list[Embedding]:
        found = []
        for result in results:
            if isinstance(result, Embedding):
                found.append(result)
            else:
                self.without(result)
        self.new += len(found)
        return found

    def without(self, result: NotEmbedded) -> None:
        self.failed += result.is_failure
        self.unknown += not result.is_failure
        self._bad.write(json.dumps(asdict(result)) + "\n")
        self._bad.flush()


def _run(
    embedder: Embedder,
    store: Store,
    paths: Sequence[Path | str],
    progress: Callable[[str], None] | None,
) -> Embedded:
    place = bad_list(store.out)
    with place.open("w") as bad:
        tally = _Tally(bad)
        for part in embedder.parts(paths, but_not=own_files(store.out)):
            if isinstance(part, NotEmbedded):
                tally.without(part)
                continue
            left = part.without(store.done)
            tally.skipped += len(part.keys) - len(left.keys)
            store.visited(part)
            store.write(left, tally.vectors(embedder.embed(left)))
            if progress is not None and left.keys:
                speed = tally.new / tally.seconds
                progress(f"{tally.new} embedded, {tally.failed} failed, {speed:.1f} files/s")
    return Embedded(
        out=store.out,
        bad=place,
        vectors=store.finish(),
        new=tally.new,
        skipped=tally.skipped,
        failed=tally.failed,
        unknown=tally.unknown,
        seconds=tally.seconds,
    )


def bad_list(out: Path) -> Path:
    return out.with_suffix(".bad.jsonl")


def own_files(out: Path) -> Callable[[str], bool]:
    """Tells what this command writes, which may lie in a folder that is embedded."""
    out = out.absolute()
    prefix, bad = os.path.normpath(out), os.path.normpath(bad_list(out))
    return lambda path: path in (prefix, bad) or path.startswith(f"{prefix}.pa")
