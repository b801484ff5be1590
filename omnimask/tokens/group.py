"""A batch is a list of groups; a group holds aligned modalities of the same samples."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from omnimask.foundation.rng import Rng
from omnimask.tokens.tokens import Raw


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Samples of one stream: `{modality: raw}` with one batch size.

    `keys` has one 64-bit key per sample, a function of (seed, stream, epoch, sample); everything
    random about the sample comes from it. `names` are the samples' names, for logs. `labels` are
    there in supervised runs only: what they mean is the task's, NaN is unknown.
    """

    stream: str
    raw: Mapping[str, Raw]
    keys: Int64[Tensor, " b"]
    names: tuple[str, ...]
    labels: Float[Tensor, "b k"] | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Group":
        raw = {name: _move(part, device, non_blocking) for name, part in self.raw.items()}
        return replace(
            self,
            raw=raw,
            keys=self.keys.to(device, non_blocking=non_blocking),
            labels=None
            if self.labels is None
            else self.labels.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Group":
        raw = {
            name: {k: v.pin_memory() if isinstance(v, Tensor) else v for k, v in part.items()}
            for name, part in self.raw.items()
        }
        labels = None if self.labels is None else self.labels.pin_memory()
        return replace(self, raw=raw, keys=self.keys.pin_memory(), labels=labels)

    @property
    def rng(self) -> Rng:
        return Rng(keys=self.keys)

    def __len__(self) -> int:
        return len(self.names)


def _move(raw: Raw, device: torch.device | str, non_blocking: bool) -> Raw:
    return {
        key: value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value
        for key, value in raw.items()
    }
