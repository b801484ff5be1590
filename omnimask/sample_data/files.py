"""What every part of the sample data shares: the list of files to write and their randomness."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPLITS = ("train", "held_out")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileJob:
    """One file to write; `path` is relative to the data folder, in posix form."""

    path: str
    label: str
    split: str
    index: int
    """Counts the files of one label in one split from zero."""

    @property
    def suffix(self) -> str:
        return Path(self.path).suffix


def file_generator(seed: int, path: str) -> np.random.Generator:
    """The randomness of one file, a function of seed and path alone.

    So a file stays the same when others are added, and the order of writing is free.
    """
    return np.random.default_rng([seed, zlib.crc32(path.encode())])


def scaled(count: int, scale: float) -> int:
    """`count` files at full size, at least two at any `scale` in (0, 1]."""
    return max(2, round(count * scale))


def labelled_jobs(
    part: str,
    labels: Sequence[str],
    *,
    num_train: int,
    num_held_out: int,
    suffixes: Sequence[str],
    scale: float,
) -> list[FileJob]:
    """`part/<split>/<label>/<label>-000<suffix>` for every label and split.

    The suffixes take turns, so repeat one in `suffixes` to make it more frequent. The turn is
    shifted from label to label: a tiny data set then still holds every format.
    """
    jobs = []
    for shift, label in enumerate(labels):
        for split, count in zip(SPLITS, (num_train, num_held_out), strict=True):
            for index in range(scaled(count, scale)):
                suffix = suffixes[(index + shift) % len(suffixes)]
                path = f"{part}/{split}/{label}/{label}-{index:03d}{suffix}"
                jobs.append(FileJob(path=path, label=label, split=split, index=index))
    return jobs
