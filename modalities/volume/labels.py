"""Volumes of class ids, for segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int64
from torch import Tensor

from modalities.volume.modality import Lengths
from modalities.volume.pictures import show_classes, show_slice
from modalities.volume.readers import Spacing
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Sample
from omnimask.tokens.tokens import Raw, tensor_of
from omnimask.transfer.finetuning.places import GridPlaces

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNKNOWN = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeLabels:
    """The class of every voxel (`omnimask.transfer.finetuning.places.PlaceLabels`), ids 0 to the
    number of `names` less one, `unknown` where a file does not say it.

    `size` and `spacing_mm` are those of the scans' modality.
    """

    name: str = "organs"
    names: tuple[str, ...]
    size: Lengths = (96, 96, 96)
    spacing_mm: Spacing | None = None
    unknown: int | None = None

    def __post_init__(self) -> None:
        if len(self.names) < 2 or min(self.size) < 1:
            raise RecipeError(
                f"{self.name}: names must have two classes or more and size be positive, got "
                f"{self.names} and {self.size}"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.names

    @property
    def num_tokens(self) -> int:
        return 0

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """`classes` (b d h w), `UNKNOWN` beyond the end of a smaller scan."""
        classes = torch.full((len(samples), *self.size), UNKNOWN, dtype=torch.int64)
        for row, sample in zip(classes, samples, strict=True):
            d, h, w = sample["classes"].shape
            row[:d, :h, :w] = sample["classes"]
        return {"classes": classes}

    def classes(self, raw: Raw, /) -> Int64[Tensor, "b p"]:
        return tensor_of(raw, "classes").flatten(1)

    def places(self, of_input: Raw, /) -> GridPlaces:
        return GridPlaces(size=self.size)

    def panel(
        self, axes: "Axes", of_input: Raw, classes: Int64[Tensor, " p"] | None, index: int, /
    ) -> None:
        """The middle slice along the depth."""
        if classes is None:
            show_slice(axes, tensor_of(of_input, "voxels")[index])
        else:
            show_classes(axes, classes.unflatten(0, self.size), num_classes=len(self.names))
