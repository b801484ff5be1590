"""A modality in one file, as a user writes it: sums of sensors over time, of any length.

It is loaded as a module of its own, outside of any package; see test_modality_hooks.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from omnimask.data.folders import FolderFiles, list_files
from omnimask.data.ragged_time import frame_counts, ragged_tokens, stacked_in_time, zero_after
from omnimask.foundation.errors import DataError
from omnimask.network.grid_modality import grid_position, patch_embedding
from omnimask.network.trained_axis import Axes
from omnimask.tokens.modality import Drawing, Sample, Source, Visit
from omnimask.tokens.tokens import Grid, Raw, Tokens, integers_of, tensor_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Waves:
    """Tokens of `patch` steps of all `num_sensors`."""

    name: str = "waves"
    num_steps: int = 32
    num_sensors: int = 2
    patch: int = 4
    positions: Literal["sincos", "learned"] = "sincos"
    axes: Axes | None = None

    @property
    def grid(self) -> Grid:
        return {"t": self.num_steps // self.patch}

    @property
    def num_tokens(self) -> int:
        return self.grid["t"]

    @property
    def num_values(self) -> int:
        return self.patch * self.num_sensors

    @property
    def extent(self) -> tuple[float, ...]:
        return (float(self.num_tokens),)

    def fit(self, source: Source, /) -> "Waves":
        return self

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        waves = [sample["wave"] for sample in samples]
        return {"wave": stacked_in_time(waves, self.num_steps), **frame_counts(waves)}

    def split(self, raw: Raw, /) -> Tokens:
        return ragged_tokens(
            tensor_of(raw, "wave").unflatten(1, (-1, self.patch)).flatten(2),
            grid=self.grid,
            real=tensor_of(raw, "real_frames") // self.patch,
            counts=[count // self.patch for count in integers_of(raw, "num_frames")],
        )

    def join(self, values: Tensor, raw: Raw, /) -> Raw:
        wave = values.unflatten(2, (self.patch, self.num_sensors)).flatten(1, 2)
        return {**raw, "wave": zero_after(wave, tensor_of(raw, "real_frames"))}

    def embed(self, dim: int, /) -> nn.Module:
        return patch_embedding(self.num_values, dim)

    def position(self, dim: int, /) -> nn.Module:
        return grid_position(self, dim)

    def draw(self, raw: Raw, *, visible: Tensor, filled: Tensor, index: int) -> Drawing:
        figure = Figure(figsize=(3, 1))
        for axes, part in zip(figure.subplots(1, 3), (raw, raw, self.join(filled, raw))):
            axes.plot(tensor_of(part, "wave")[index].cpu().numpy())
        return Drawing(figure=figure)


@dataclass(frozen=True, kw_only=True, slots=True)
class WaveFiles:
    """.npy files of (steps, sensors), labelled by their folders."""

    path: str = "."

    def open(self, root: str, modality: Waves, /) -> "WaveSource":
        found = list_files(root, self.path, (".npy",), what="waves", labels="folder")
        return WaveSource(found, self, modality)


@dataclass(frozen=True, slots=True)
class WaveSource:
    found: FolderFiles
    files: WaveFiles
    modality: Waves

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        path = self.found.path(index)
        try:
            wave = np.load(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as an array: {error}") from error
        return {"wave": torch.from_numpy(wave[: self.modality.num_steps].astype(np.float32))}
