"""What a decoder reads of the encoder other than its normalised output: a block, or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoded, Encoder

Read = tuple[Float[Tensor, "p d"], Float[Tensor, "t d"]]  # prefix and visible tokens, packed


@runtime_checkable
class Reading(Protocol):
    """A frozen record; its module is called as `module(encoded) -> Read`."""

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        """As a decoder's."""
        ...

    def build(self, encoder: Encoder, /) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockOutput:
    """What one block says, counted from the last (-1), through a norm of the decoder's own."""

    layer: int

    def __post_init__(self) -> None:
        if self.layer >= 0:
            raise RecipeError(
                f"BlockOutput.layer counts blocks from the last, -1, got {self.layer}; write -4"
            )

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        check_layers("BlockOutput.layer", (self.layer,), encoder)
        return (self.layer,)

    def build(self, encoder: Encoder, /) -> nn.Module:
        return _Block(encoder)


class _Block(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.norm = encoder.style.build_norm(encoder.width)

    def forward(self, encoded: Encoded) -> Read:
        return self.norm(encoded.prefix[1]), self.norm(encoded.visible[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerFusion:
    """The encoder's last norm of a learned mean over `layers`, each but the last through a linear
    layer of its own.

    MFF, https://arxiv.org/abs/2308.00261, section 3.3; its official code (mmpretrain's MFFViT)
    takes every second block of twelve. Weights are a softmax and start equal.
    """

    layers_read: tuple[int, ...] = (-11, -9, -7, -5, -3, -1)

    def __post_init__(self) -> None:
        if len(self.layers_read) < 2 or sorted(self.layers_read) != list(self.layers_read):
            raise RecipeError(
                "LayerFusion.layers_read must be two or more blocks in their order, counted from "
                f"the last (-1), got {self.layers_read}; write (-5, -3, -1)"
            )

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        check_layers("LayerFusion.layers_read", self.layers_read, encoder)
        return self.layers_read

    def build(self, encoder: Encoder, /) -> nn.Module:
        return Fusion(self, encoder)


class Fusion(nn.Module):
    """The module of `LayerFusion`."""

    def __init__(self, config: LayerFusion, encoder: Encoder) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            nn.Linear(encoder.width, encoder.width) for _ in config.layers_read[1:]
        )
        self.weights = nn.Parameter(torch.ones(len(config.layers_read)))

    def forward(self, encoded: Encoded) -> Read:
        assert encoded.norm is not None, "what an encoder has encoded has its norm"
        return encoded.norm(self._mix(encoded.prefix)), encoded.norm(self._mix(encoded.visible))

    def _mix(self, layers: Sequence[Tensor]) -> Tensor:
        """`layers` has the normalised output in front, which has no part in it."""
        *early, last = layers[1:]
        each = [project(x) for project, x in zip(self.project, early, strict=True)]
        weights = self.weights.softmax(dim=0)
        parts = [weight * x for weight, x in zip(weights, [*each, last], strict=True)]
        return torch.stack(parts).sum(dim=0)

    def health(self) -> dict[str, Tensor]:
        """The share of the last layer in the mean."""
        return {"last_layer": self.weights.detach().softmax(dim=0)[-1]}


def check_layers(owner: str, layers: Sequence[int], encoder: Encoder) -> None:
    """RecipeError for a block that the encoder does not have."""
    if not all(-encoder.depth <= layer < 0 for layer in layers):
        raise RecipeError(
            f"{owner}: blocks count from the last, -1 to -{encoder.depth} (encoder.depth), got "
            f"{tuple(layers)}"
        )
