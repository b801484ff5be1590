"""A modality small enough to read at a glance, for tests of the core: short sequences of vectors.

A sample of class k is a sinusoid of k + 1 periods per sample, cut into `num_tokens` tokens of
`num_values` values; some samples are shorter, so that rows are ragged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from omnimask.foundation.errors import DataError
from omnimask.network.positions import SinCosPosition
from omnimask.tokens.modality import Drawing, Sample, Source, Visit
from omnimask.tokens.tokens import Grid, Raw, Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Toy:
    name: str = "toy"
    num_tokens: int = 8
    num_values: int = 4
    mean: float | None = None

    @property
    def grid(self) -> Grid | None:
        return {"t": self.num_tokens}

    @property
    def extent(self) -> tuple[float, ...]:
        return (float(self.num_tokens),)

    def fit(self, source: Source) -> "Toy":
        if self.mean is not None:
            return self
        read = [source.read(i, Visit(key=0, augment=False))["wave"] for i in range(len(source))]
        return Toy(
            name=self.name,
            num_tokens=self.num_tokens,
            num_values=self.num_values,
            mean=float(np.concatenate(read).mean()),
        )

    def collate(self, samples: Sequence[Sample]) -> Raw:
        full = self.num_tokens * self.num_values
        waves = [torch.from_numpy(sample["wave"]) for sample in samples]
        padded = [nn.functional.pad(wave, (0, full - len(wave))) for wave in waves]
        return {
            "wave": torch.stack(padded),
            "num_tokens": tuple(len(wave) // self.num_values for wave in waves),
        }

    def split(self, raw: Raw) -> Tokens:
        wave, counts = raw["wave"], raw["num_tokens"]
        assert isinstance(wave, Tensor)
        assert isinstance(counts, tuple)
        num_samples = len(counts)
        values = wave.reshape(num_samples, self.num_tokens, self.num_values) - (self.mean or 0.0)
        places = torch.arange(self.num_tokens, device=wave.device)
        length = torch.stack([torch.full((), count, device=wave.device) for count in counts])
        valid = places < length[:, None]
        return Tokens(
            values=values,
            coords=places.float()[None, :, None].expand(num_samples, -1, 1),
            valid=valid,
            scorable=valid,
            num_valid=counts,
            num_scorable=counts,
            grid=self.grid,
        )

    def join(self, values: Tensor, raw: Raw) -> Raw:
        return {**raw, "wave": (values + (self.mean or 0.0)).flatten(1)}

    def embed(self, dim: int) -> nn.Module:
        return nn.Linear(self.num_values, dim)

    def position(self, dim: int) -> nn.Module:
        return SinCosPosition(dim, 1)

    def draw(self, raw: Raw, *, visible: Tensor, filled: Tensor, index: int) -> Drawing:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(3, 1))
        wave = self.join(filled, raw)["wave"]
        assert isinstance(wave, Tensor)
        figure.subplots().plot(wave[index].numpy())
        return Drawing(figure=figure, html=f"<p>{int(visible[index].sum())} shown</p>")


@dataclass(frozen=True, kw_only=True, slots=True)
class ToyFiles:
    """`path` only tells training from held-out samples apart; every fifth sample is short."""

    path: str = "train"
    num_samples: int = 24
    num_classes: int = 3
    bad: tuple[int, ...] = ()

    def open(self, root: str, modality: Toy) -> "ToySource":
        return ToySource(self, modality)


@dataclass(frozen=True, kw_only=False, slots=True)
class ToySource:
    files: ToyFiles
    modality: Toy

    def __len__(self) -> int:
        return self.files.num_samples

    def name(self, index: int) -> str:
        return f"class-{index % self.files.num_classes}/{self.files.path}-{index:03}.toy"

    def label(self, index: int) -> str | None:
        return f"class-{index % self.files.num_classes}"

    def read(self, index: int, visit: Visit) -> Sample:
        if index in self.files.bad:
            raise DataError(f"{self.name(index)}: expected a wave, got nothing; remove the file")
        full = self.modality.num_tokens * self.modality.num_values
        length = full // 2 if index % 5 == 4 else full
        phase = index * 0.7 + (visit.generator("phase").uniform(0, 0.5) if visit.augment else 0.0)
        cycles = 1 + index % self.files.num_classes
        wave = np.sin(np.arange(length) * 2 * np.pi * cycles / full + phase)
        return {"wave": wave.astype(np.float32)}
