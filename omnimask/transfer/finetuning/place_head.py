"""A light head: from the features of tokens to logits at places."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.decoders.decoder import place_visible
from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoded
from omnimask.tokens.tokens import Tokens
from omnimask.transfer.finetuning.places import FreePlaces, Places, spread


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationHead:
    """What stands on the plain encoder.

    `layers`: the blocks whose outputs are joined, counted from the last (-1); none is the encoder's
    normalised output. `hidden`: None for one linear layer on tokens, brought to the places after
    (the linear decoder of Segmenter, https://arxiv.org/abs/2105.05633, section 3.2; SETR's naive
    upsampling, https://arxiv.org/abs/2012.15840, section 3.3, has two layers). A width puts
    two layers at every place after the features were brought there, which may then see the place
    itself where it lies anywhere (a point), as in Point-MAE, https://arxiv.org/abs/2203.06604.
    """

    layers: tuple[int, ...] = ()
    hidden: int | None = None

    def __post_init__(self) -> None:
        if self.hidden is not None and self.hidden < 1:
            raise RecipeError(f"head.hidden must be None or 1 or more, got {self.hidden}")

    def build(self, width: int, num_classes: int, *, num_coords: int) -> "PlaceHead":
        """`num_coords`: of the places, 0 where they are a grid."""
        return PlaceHead(self, width, num_classes, num_coords=num_coords)


class PlaceHead(nn.Module):
    """`(features, tokens, places) -> logits`; features of one (b n d) per layer of the record."""

    def __init__(
        self, config: SegmentationHead, width: int, num_classes: int, *, num_coords: int
    ) -> None:
        super().__init__()
        num_layers = max(len(config.layers), 1)
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(num_layers))
        hidden = config.hidden
        if hidden is None:
            self.on_tokens = nn.Linear(width * num_layers, num_classes)
            self.at_places = None
        else:
            self.on_tokens = nn.Linear(width * num_layers, hidden)
            self.at_places = nn.Sequential(
                nn.Linear(hidden + num_coords, hidden),
                nn.GELU(),
                nn.Linear(hidden, num_classes),
            )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(
        self, features: tuple[Float[Tensor, "b n d"], ...], tokens: Tokens, places: Places
    ) -> Float[Tensor, "b p k"]:
        normalised = [norm(part.float()) for norm, part in zip(self.norms, features, strict=True)]
        at_places = spread(self.on_tokens(torch.cat(normalised, dim=2)), tokens, places)
        if self.at_places is None:
            return at_places
        if isinstance(places, FreePlaces):
            at_places = torch.cat([at_places, places.coords.to(at_places.dtype)], dim=2)
        return self.at_places(at_places)


def features_of(encoded: Encoded) -> tuple[Float[Tensor, "b n d"], ...]:
    """The layers that were asked for, the normalised output where none was, at their tokens."""
    packed = encoded.visible[1:] or encoded.visible
    plan, num_tokens = encoded.plan, encoded.layout.num_tokens
    return tuple(place_visible(part, plan, num_tokens=num_tokens)[0] for part in packed)
