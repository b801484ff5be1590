"""Mask tokens that attend to the encoded tokens only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import BlockStyle, CrossBlock, check_heads
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.network.initialisation import initialise
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossAttentionDecoder:
    """Mask tokens attend to the encoded tokens and never to one another.

    CrossMAE (https://arxiv.org/abs/2401.14391, section 3.3). With `mix_layers` each block reads its
    own learned mix of all encoder blocks (section 3.4) and of the normalised output; with "inputs"
    of all blocks and of what enters the first, as the official code does; without, the encoder's
    normalised output. "inputs" leaves the encoder's last norm unread: give it no weights
    (encoder.norm_weights=False).
    """

    width: int = 512
    depth: int = 8
    num_heads: int = 16
    mix_layers: bool | Literal["inputs"] = False
    style: BlockStyle = field(default_factory=BlockStyle)

    def __post_init__(self) -> None:
        check_heads("decoder", self.width, self.num_heads)

    @property
    def hidden(self) -> str:
        return "drop"

    def output_width(self, encoder: Encoder, /) -> int:
        return self.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        first = -encoder.depth - (self.mix_layers == "inputs")
        return tuple(range(first, 0)) if self.mix_layers else ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        if self.mix_layers == "inputs" and encoder.norm_weights:
            raise RecipeError(
                "decoder.mix_layers='inputs' does not read the encoder's last norm, so that its "
                "weights would never learn; write encoder.norm_weights=False"
            )
        return _CrossAttention(self, modalities, encoder)


class _CrossAttention(nn.Module):
    def __init__(
        self, config: CrossAttentionDecoder, modalities: Sequence[Modality], encoder: Encoder
    ) -> None:
        super().__init__()
        self.places = Places(modalities, config.width)
        self.mask_token = nn.Parameter(torch.empty(config.width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        # An encoder with additive positions has put the places into its tokens already.
        self.context_places = None if encoder.adds_places else Places(modalities, encoder.width)
        self.first = int(config.mix_layers == "inputs")  # without the normalised output
        num_sources = 1 + len(config.layers(encoder)) - self.first
        self.mix = None
        if config.mix_layers:
            # Starts as the mean over the encoder's outputs for every block, or as the official one.
            self.mix = nn.Parameter(torch.full((config.depth, num_sources), 1.0 / num_sources))
            if config.mix_layers == "inputs":
                nn.init.xavier_uniform_(self.mix)
        self.blocks = nn.ModuleList(
            CrossBlock(config.width, config.num_heads, config.style, context_dim=encoder.width)
            for _ in range(config.depth)
        )
        self.norm = config.style.build_norm(config.width)
        initialise(self.blocks)

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n d"]:
        layout, plan = encoded.layout, encoded.plan
        num_prefix = (encoded.num_prefix,) * len(plan.num_visible)
        context_rows, rows = Rows.of(num_prefix, plan.num_visible), Rows.of(plan.num_predict)
        encoded_visible = encoded.visible
        if self.context_places is not None:
            where = self.context_places(layout, encoded.packed_visible())
            encoded_visible = [layer + where for layer in encoded.visible]
        contexts = list(map(context_rows.join, encoded.prefix, encoded_visible))[self.first :]
        x = self.mask_token + self.places(layout, encoded.packed_predict())
        for number, block in enumerate(self.blocks):
            context = contexts[0] if self.mix is None else _weighted(contexts, self.mix[number])
            x = block(x, context, rows=rows, context_rows=context_rows)
        return rows.unpack(self.norm(x))


def _weighted(layers: Sequence[Tensor], weights: Float[Tensor, " l"]) -> Tensor:
    return torch.einsum("ltd,l->td", torch.stack(tuple(layers)), weights.to(layers[0].dtype))
