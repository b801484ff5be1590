"""Labels of single points: which part of its object each is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from modalities.points.files import PointFiles, PointSource
from modalities.points.modality import PointGroups
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Sample, Visit
from omnimask.tokens.tokens import Raw, tensor_of
from omnimask.transfer.finetuning.places import FreePlaces

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, slots=True)
class PointParts:
    """The part of each of at most `num_points` points, as many as their `PointGroups` takes.

    `names`: of the parts in the order of their ids, "chair/leg" where ids count through the parts
    of several kinds of objects; samples of a kind are then compared among its own parts. `unknown`:
    an id in files that says nothing, beside those below 0.
    """

    name: str = "parts"
    num_points: int = 1024
    names: tuple[str, ...]
    unknown: int | None = 255

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len({"/" in name for name in self.names}) > 1:
            raise RecipeError(
                f"{self.name}: names must be two or more, all with a slash or all without, got "
                f"{self.names}; write for example ('chair/leg', 'chair/seat')"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.names

    @property
    def num_tokens(self) -> int:
        """How much of a batch a sample takes, as every modality says it."""
        return self.num_points

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """`parts` (b p) int64, -1 where unknown and in padding."""
        parts = torch.full((len(samples), self.num_points), -1)
        for row, sample in zip(parts, samples, strict=True):
            row[: len(sample["parts"])] = sample["parts"]
        return {"parts": parts}

    def classes(self, raw: Raw, /) -> Int64[Tensor, "b p"]:
        return tensor_of(raw, "parts")

    def places(self, of_input: Raw, /) -> FreePlaces:
        """The points themselves, which lie in the coordinates of the groups' centres."""
        return FreePlaces(coords=tensor_of(of_input, "xyz"), ok=tensor_of(of_input, "point_ok"))

    def panel(
        self, axes: "Axes", of_input: Raw, classes: Int64[Tensor, " p"] | None, index: int, /
    ) -> None:
        from modalities.points.pictures import show_parts

        ok = tensor_of(of_input, "point_ok")[index].cpu()
        xyz = tensor_of(of_input, "xyz")[index].cpu()[ok]
        show_parts(axes, xyz, None if classes is None else classes[ok], num_parts=len(self.names))


@dataclass(frozen=True, kw_only=True, slots=True)
class PartFiles:
    """The `column` of the files that `points` reads: a property of PLY and PCD, and a name in
    `points.columns` for xyz, txt and npy. Give both records of a stream the same fields, so that
    they choose the same points of a larger cloud."""

    points: PointFiles = field(default_factory=PointFiles)
    column: str = "part"

    def open(self, root: str, modality: Any, /) -> "PartSource":
        if not isinstance(modality, PointParts):
            raise RecipeError(
                f"PartFiles feeds PointParts, got {type(modality).__name__}; use the Files record "
                "of that modality"
            )
        groups = PointGroups(num_points=modality.num_points, num_groups=1, group_size=1)
        return PartSource(files=self, modality=modality, source=self.points.open(root, groups))


@dataclass(frozen=True, kw_only=True, slots=True)
class PartSource:
    """The opened files. Samples are `parts` (p) int64."""

    files: PartFiles
    modality: PointParts
    source: PointSource

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int, /) -> str:
        return self.source.name(index)

    def label(self, index: int, /) -> str | float | None:
        return self.source.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        with self.source.found.local(index) as path:
            return {"parts": torch.from_numpy(self._parts(path, visit))}

    def _parts(self, path: Path, visit: Visit) -> np.ndarray:
        table = self.source.table(path, visit)
        if self.files.column not in table:
            raise DataError(
                f"{path}: has no column {self.files.column!r} with the part of each point, only "
                f"{' '.join(table)}; name it in PartFiles.column, and in PointFiles.columns if "
                "the format has no names"
            )
        return self._checked(table[self.files.column], path)

    def _checked(self, column: np.ndarray, path: Path) -> np.ndarray:
        ids, unknown = column.round().astype(np.int64), self.modality.unknown
        ids = np.where((ids < 0) | (ids == unknown), -1, ids)
        if ids.max(initial=-1) >= len(self.modality.names):
            raise DataError(
                f"{path}: has the part {ids.max()}; expected 0 to {len(self.modality.names) - 1}"
                f"{'' if unknown is None else f' and {unknown} for unknown'}; set names and "
                f"unknown of {self.modality.name}, or mend the file"
            )
        return ids
