"""Example: series of 64 numbers in text files, one to a line, as 16 tokens of four."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from omnimask.data.file_list import FileList
from omnimask.data.folders import list_files
from omnimask.foundation.errors import DataError
from omnimask.network.positions import SinCosPosition
from omnimask.tokens.modality import Drawing, Sample, Source, Visit
from omnimask.tokens.tokens import Grid, Raw, Tokens
from omnimask.transfer.modality_hooks import FileReader

SUFFIXES = (".example",)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleTokens:
    """`mean` and `std` are measured on the training files where they are None."""

    name: str = "example"
    num_tokens: int = 16
    num_values: int = 4
    mean: float | None = None
    std: float | None = None

    @property
    def grid(self) -> Grid | None:
        return {"t": self.num_tokens}

    @property
    def extent(self) -> tuple[float, ...]:
        return (float(self.num_tokens),)

    def fit(self, source: Source, /) -> "ExampleTokens":
        if self.mean is not None:
            return self
        visit = Visit(key=0, augment=False)
        read = np.stack([source.read(i, visit)["signal"] for i in range(min(len(source), 256))])
        return replace(self, mean=float(read.mean()), std=float(read.std()))  # no NumPy numbers

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        return {"signal": torch.from_numpy(np.stack([sample["signal"] for sample in samples]))}

    def split(self, raw: Raw, /) -> Tokens:
        values = (_signal(raw) - (self.mean or 0.0)) / (self.std or 1.0)
        return Tokens.dense(values.unflatten(1, (-1, self.num_values)), grid=self.grid)

    def join(self, values: Tensor, raw: Raw, /) -> Raw:
        return {**raw, "signal": values.flatten(1) * (self.std or 1.0) + (self.mean or 0.0)}

    def embed(self, dim: int, /) -> nn.Module:
        return nn.Linear(self.num_values, dim)

    def position(self, dim: int, /) -> nn.Module:
        return SinCosPosition(dim, 1)

    def draw(self, raw: Raw, *, visible: Tensor, filled: Tensor, index: int) -> Drawing:
        from matplotlib.figure import Figure

        whole = _signal(raw)[index]
        seen = torch.where(visible[index].repeat_interleave(self.num_values), whole, torch.nan)
        figure = Figure(figsize=(6, 1.5))
        panels = figure.subplots(1, 3, sharey=True)
        for axes, line in zip(panels, (whole, seen, _signal(self.join(filled, raw))[index])):
            axes.plot(line.numpy())
        return Drawing(figure=figure)


def _signal(raw: Raw) -> Tensor:
    signal = raw["signal"]
    assert isinstance(signal, Tensor)
    return signal


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleFiles:
    """All files below `path`, which is below the recipe's `data.root`; folders are labels."""

    path: str = "."

    def open(self, root: str, modality: ExampleTokens, /) -> "ExampleSource":
        found = list_files(root, self.path, SUFFIXES, what="example files", labels="folder")
        return ExampleSource(found=found, modality=modality)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleSource:
    found: FileList
    modality: ExampleTokens

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        with self.found.local(index) as path:
            return {"signal": read_signal(path, self.modality)}


def read_signal(path: Path, modality: ExampleTokens) -> np.ndarray:
    """DataError naming the file for one that holds something else."""
    expected = modality.num_tokens * modality.num_values
    try:
        signal = np.loadtxt(path, dtype=np.float32, ndmin=1)
    except ValueError as error:
        raise DataError(f"{path}: expected a number on every line; {error}") from error
    if len(signal) != expected:
        raise DataError(f"{path}: expected {expected} numbers, got {len(signal)}")
    return signal


def available_readers() -> dict[str, str]:
    """For `omnimask doctor`: by kind of file, what reads it here."""
    return dict.fromkeys(SUFFIXES, f"numpy {np.__version__}")


# For `omnimask embed`; omnimask.transfer.modality_hooks describes this and the other hooks.
FILE_READERS = {
    ExampleTokens: FileReader(
        files=ExampleFiles,
        suffixes=lambda files: SUFFIXES,
        open=lambda found, files, modality: ExampleSource(found=found, modality=modality),
    ),
}
