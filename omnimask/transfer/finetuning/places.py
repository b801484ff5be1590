"""Labels of places within a sample: where they lie, and how features of tokens get there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from omnimask.data.geometry import squared_distances
from omnimask.tokens.modality import Sample
from omnimask.tokens.tokens import Raw, Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

NUM_NEAREST = 3  # PointNet++, section 3.4


@dataclass(frozen=True, kw_only=True, slots=True)
class GridPlaces:
    """The pixels of a map of `size`, over the grid of tokens from edge to edge."""

    size: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FreePlaces:
    """Places anywhere, in the coordinates of the tokens; what `ok` is not is padding."""

    coords: Float[Tensor, "b p c"]
    ok: Bool[Tensor, "b p"]


Places = GridPlaces | FreePlaces


@runtime_checkable
class PlaceLabels(Protocol):
    """A frozen record of what the labels of one modality's samples are: class ids at places.

    `tokens.modality.Files` records read them as those of any modality, aligned with the input.
    """

    @property
    def name(self) -> str: ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class. What stands before a slash is a category of samples with parts of
        their own ("chair/leg"), and a sample is then compared among the parts of its own."""
        ...

    @property
    def num_tokens(self) -> int:
        """How much of a batch a sample takes, as every modality says it."""
        ...

    def collate(self, samples: "Sequence[Sample]", /) -> Raw: ...

    def classes(self, raw: Raw, /) -> Int64[Tensor, "b p"]:
        """The class at each place, -1 where it is not known."""
        ...

    def places(self, of_input: Raw, /) -> Places:
        """Where those classes lie, from the collated input."""
        ...

    def panel(
        self, axes: "Axes", of_input: Raw, classes: Int64[Tensor, " p"] | None, index: int, /
    ) -> None:
        """Draws sample `index`: its classes, or itself where they are None."""
        ...


def spread(
    features: Float[Tensor, "b n f"], tokens: Tokens, places: Places
) -> Float[Tensor, "b p f"]:
    """Features between tokens: linear on a grid, by inverse distance elsewhere.

    Tokens that are not valid have no part in the latter; a grid has none such.
    """
    if isinstance(places, FreePlaces):
        return spread_by_distance(
            features, tokens.coords, tokens.valid, places.coords, num_nearest=NUM_NEAREST
        )
    assert tokens.grid is not None, "the labels of grids are maps"
    sizes = tuple(tokens.grid.values())
    pixels = rearrange(features, "b n f -> b f n").unflatten(2, sizes)
    modes = {1: "linear", 2: "bilinear", 3: "trilinear"}
    resized = torch.nn.functional.interpolate(
        pixels, size=places.size, mode=modes[len(sizes)], align_corners=False
    )
    return rearrange(resized.flatten(2), "b f p -> b p f")


def spread_by_distance(
    features: Float[Tensor, "b n f"],
    coords: Float[Tensor, "b n c"],
    valid: Bool[Tensor, "b n"],
    places: Float[Tensor, "b p c"],
    *,
    num_nearest: int,
) -> Float[Tensor, "b p f"]:
    """Means of the nearest tokens' features, weighted by inverse squared distance.

    Feature propagation of PointNet++, https://arxiv.org/abs/1706.02413, section 3.4, equation 2
    with p = 2 and k = 3, and of Point-MAE's part segmentation; their code adds 1e-8 to the
    squared distances, and so does this.
    """
    far = squared_distances(places, coords).masked_fill(~valid[:, None], torch.inf)
    near = far.topk(min(num_nearest, coords.shape[1]), dim=2, largest=False)
    weights = 1.0 / (near.values + 1e-8)  # of an invalid token 1 / inf = 0
    weights = weights / weights.sum(dim=2, keepdim=True).clamp_min(1e-30)
    ids = near.indices.flatten(1)[:, :, None].expand(-1, -1, features.shape[2])
    neighbours = features.gather(1, ids).unflatten(1, near.indices.shape[1:])
    return (neighbours * weights[..., None].to(features.dtype)).sum(dim=2)
