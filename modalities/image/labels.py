"""Maps of class ids as patches (MultiMAE, https://arxiv.org/abs/2204.01678)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from modalities.image.pictures import Classes, draw_labels, show_classes, show_pixels
from omnimask.data.pixels import patchify, unpatchify
from omnimask.foundation.errors import RecipeError
from omnimask.network.grid_modality import (
    adapt_grid_position,
    check_patches,
    continued_grid,
    grid_position,
    num_cells,
)
from omnimask.network.resampling import Resampled, State, check_kept, resample_linear
from omnimask.network.trained_axis import Axes, check_axes, extents
from omnimask.tokens.modality import Drawing, Modality, Sample, Source
from omnimask.tokens.tokens import Grid, Raw, Tokens, tensor_of
from omnimask.transfer.finetuning.places import GridPlaces

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure

UNKNOWN = -1.0
"""A token's value where the map does not say which class a pixel has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelPatches:
    """Patches of a map of class ids 0 to `num_classes` - 1, one per pixel.

    `size` and `patch` are (height, width) in pixels of the pictures that the map belongs to, so
    that its tokens lie on the same grid as theirs. The map itself is read at every `stride`-th
    pixel: a token's values are the patch[0] * patch[1] / stride**2 ids row by row, as floats, and
    -1 where the file has the id `unknown`. A token is valid and scorable even where all of its
    pixels are unknown; `ClassMap` leaves it out. `class_dim`: width of a class's embedding. `axes`:
    set by `adapt`, where the patches stand on the grid of pretraining. `names`: of the classes, in
    the order of their ids, for scores of a segmentation.
    """

    name: str = "semantic"
    size: tuple[int, int] = (224, 224)
    patch: tuple[int, int] = (16, 16)
    stride: int = 4
    num_classes: int
    unknown: int | None = 255
    class_dim: int = 64
    names: tuple[str, ...] | None = None
    positions: Literal["sincos", "learned"] = "sincos"
    axes: Axes | None = None

    def __post_init__(self) -> None:
        if min(*self.size, *self.patch, self.stride, self.num_classes, self.class_dim) < 1:
            raise RecipeError(
                f"{self.name}: size, patch, stride, num_classes and class_dim must be positive, "
                f"got {self.size}, {self.patch}, {self.stride}, {self.num_classes} and "
                f"{self.class_dim}"
            )
        check_patches(self.name, self.size, self.patch)
        if self.patch[0] % self.stride or self.patch[1] % self.stride:
            raise RecipeError(
                f"{self.name}: patch must be a multiple of stride {self.stride}, got {self.patch}; "
                "write stride=1 for a map at full size"
            )
        check_axes(self.name, self.axes, self.grid)
        if self.names is not None and len(self.names) != self.num_classes:
            raise RecipeError(
                f"{self.name}: names must have one for each of {self.num_classes} classes, got "
                f"{len(self.names)}; write names=None to number them"
            )

    @property
    def grid(self) -> Grid:
        return {"h": self.size[0] // self.patch[0], "w": self.size[1] // self.patch[1]}

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width of the map that is read."""
        return self.size[0] // self.stride, self.size[1] // self.stride

    @property
    def map_patch(self) -> tuple[int, int]:
        """Rows and columns of the map in a token."""
        return self.patch[0] // self.stride, self.patch[1] // self.stride

    @property
    def num_tokens(self) -> int:
        return num_cells(self.grid)

    @property
    def num_values(self) -> int:
        return self.map_patch[0] * self.map_patch[1]

    @property
    def extent(self) -> tuple[float, ...]:
        return extents(self.axes, self.grid)

    def fit(self, source: Source, /) -> "LabelPatches":
        """Itself: ids have no statistics."""
        return self

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """`classes` (b h w) int32, the files' ids at `map_size`."""
        return {"classes": torch.stack([sample["classes"] for sample in samples])}

    def split(self, raw: Raw, /) -> Tokens:
        classes = tensor_of(raw, "classes")
        ids = classes.float()
        if self.unknown is not None:
            ids = torch.where(classes == self.unknown, UNKNOWN, ids)
        values = patchify(ids[:, None, None], (1, *self.map_patch))
        return Tokens.dense(values, grid=self.grid)

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """`classes` in the type they have in `raw`; values are rounded to the nearest id."""
        grid = (1, self.grid["h"], self.grid["w"])
        ids = unpatchify(values.float(), (1, *self.map_patch), grid)[:, 0, 0].round()
        known = ids.clamp(0, self.num_classes - 1)
        if self.unknown is not None:
            known = torch.where(ids < 0, float(self.unknown), known)
        return {"classes": known.to(tensor_of(raw, "classes").dtype)}

    def embed(self, dim: int, /) -> nn.Module:
        return ClassEmbedding(self, dim)

    def position(self, dim: int, /) -> nn.Module:
        return grid_position(self, dim)

    def continued_from(self, old: Modality, /) -> tuple["LabelPatches", tuple[str, ...]]:
        """Its patches together cover what those of pretraining covered."""
        assert isinstance(old, LabelPatches), "adapt compares the types"
        check_kept(self.name, "class_dim", old=old.class_dim, new=self.class_dim)
        axes, lines = continued_grid(self, old)
        return replace(self, axes=axes), lines

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        """Ids of other classes mean nothing known, so that their vectors are new."""
        assert isinstance(old, LabelPatches), "adapt compares the types"
        before, after = ((*each.map_patch, each.class_dim) for each in (old, self))
        linear = {"weight": state["project.weight"], "bias": state["project.bias"]}
        resampled = resample_linear(self.name, linear, old=before, new=after)
        project = {f"project.{name}": value for name, value in resampled.state.items()}
        if old.num_classes == self.num_classes:
            return replace(resampled, state={**state, **project})
        line = f"{self.name}: vectors of {self.num_classes} classes are new"
        return Resampled(state={**fresh, **project}, lines=(*resampled.lines, line))

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, LabelPatches), "adapt compares the types"
        return adapt_grid_position(self, old, state)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Part of `omnimask.transfer.finetuning.places.PlaceLabels`, like the next three."""
        return self.names or tuple(f"class {number}" for number in range(self.num_classes))

    def classes(self, raw: Raw, /) -> Int64[Tensor, "b p"]:
        """The id of each pixel of the map, row by row; -1 where it is `unknown`."""
        ids = tensor_of(raw, "classes").long().flatten(1)
        return ids if self.unknown is None else torch.where(ids == self.unknown, -1, ids)

    def places(self, of_input: Raw, /) -> GridPlaces:
        return GridPlaces(size=self.map_size)

    def panel(
        self, axes: "Panel", of_input: Raw, classes: Int64[Tensor, " p"] | None, index: int, /
    ) -> None:
        if classes is None:
            show_pixels(axes, tensor_of(of_input, "pixels")[index])
        else:
            show_classes(axes, self._classes, classes.unflatten(0, self.map_size))

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        """Three maps side by side, each class in its own colour, the same in every picture.

        Unknown pixels are black; hidden patches are grey in the second.
        """
        original = tensor_of(raw, "classes")
        rebuilt = tensor_of(self.join(filled[index : index + 1].float(), raw), "classes")[0]
        return draw_labels(
            self._classes, original[index], rebuilt, visible=visible[index], patch=self.map_patch
        )

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """The map, and its patches as squares."""
        from modalities.image.pictures import paint_patches

        classes = tensor_of(raw, "classes")[index]
        cells = colors.unflatten(1, (self.grid["h"], self.grid["w"]))
        figure, first = paint_patches(cells, titles, aspect=len(classes) / classes.shape[1])
        first.imshow(self._classes.coloured(classes))
        return figure

    @property
    def _classes(self) -> Classes:
        return Classes(num_classes=self.num_classes, unknown=self.unknown)


class ClassEmbedding(nn.Module):
    """A vector per class, those of a patch's pixels side by side through one linear layer.

    As in MultiMAE's code (github.com/EPFL-VILAB/MultiMAE, multimae/input_adapters.py, vectors of
    64). Unknown pixels have a vector of their own, which MultiMAE, without such pixels, has not.
    """

    def __init__(self, modality: LabelPatches, dim: int) -> None:
        super().__init__()
        self.num_classes = modality.num_classes
        self.classes = nn.Embedding(modality.num_classes + 1, modality.class_dim)
        self.project = nn.Linear(modality.num_values * modality.class_dim, dim)
        nn.init.trunc_normal_(self.classes.weight, std=0.02)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, values: Float[Tensor, "*k v"]) -> Float[Tensor, "*k d"]:
        return self.project(self.classes(self._rows(values)).flatten(-2))

    def _rows(self, values: Float[Tensor, "*k v"]) -> Int64[Tensor, "*k v"]:
        """The row of the table for each value: the last one for unknown pixels."""
        ids = values.round().long().clamp_max(self.num_classes - 1)
        return torch.where(ids < 0, self.num_classes, ids)
