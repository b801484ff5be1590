"""Convolutions over the grid, with mask tokens where nothing is visible."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnimask.decoders.decoder import place_visible, predicted_rows, present_tokens
from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoded, Encoder
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Grid, Span

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvDecoder:
    """Grouped convolutions over the grid of each modality, on one, two or three axes.

    The decoder of data2vec 2.0 (https://arxiv.org/abs/2212.07525, section 3): each layer is a
    convolution, LayerNorm without weights and GELU, plus the layer's input where widths agree. The
    defaults are the official code's for images with ViT-B; with ViT-L it has width=1024, depth=3,
    kernel=5, and for sound width=384, depth=4, kernel=7. The objective's head is its projection.

    No positions are added, as in the official code: the grid says where a token is. Hidden places
    hold a learned token; the official code draws noise (standard deviation 0.01), and for sound it
    has dropout of 0.1 on the input, which is left out here. Every modality has layers of its own.

    Places that a sample does not have are zero before every layer, so they are to it what is
    beyond the edge of the grid. `kernel` is odd, `groups` divides `width` and the encoder's width.
    """

    width: int = 768
    depth: int = 6
    kernel: int = 3
    groups: int = 16

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise RecipeError(f"ConvDecoder.depth must be >= 1, got {self.depth}; write 6")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise RecipeError(f"ConvDecoder.kernel must be odd, got {self.kernel}; write 3")
        if self.groups < 1 or self.width % self.groups:
            raise RecipeError(
                f"ConvDecoder.groups must divide width={self.width}, got {self.groups}; write "
                f"groups={math.gcd(self.width, 16)}"
            )

    @property
    def hidden(self) -> str:
        return "drop"

    def output_width(self, encoder: Encoder, /) -> int:
        return self.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        if encoder.width % self.groups:
            raise RecipeError(
                f"ConvDecoder.groups must divide encoder.width={encoder.width}, got {self.groups}; "
                f"write groups={math.gcd(self.width, encoder.width, 16)}"
            )
        return _Convolutional(self, {m.name: _grid(m) for m in modalities}, encoder)


def _grid(modality: Modality) -> Grid:
    if modality.grid is None or len(modality.grid) not in _CONVOLUTIONS:
        axes = "no grid" if modality.grid is None else f"a grid on {len(modality.grid)} axes"
        raise RecipeError(
            f"ConvDecoder needs a grid on one to three axes, but {modality.name} has {axes}; "
            "use SelfAttentionDecoder"
        )
    return modality.grid


class _Convolutional(nn.Module):
    def __init__(self, config: ConvDecoder, grids: Mapping[str, Grid], encoder: Encoder) -> None:
        super().__init__()
        self.width = config.width
        self.mask_token = nn.Parameter(torch.empty(encoder.width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        # Convolutions start as torch starts them, which is what the official code does.
        self.convolutions = nn.ModuleDict(
            {name: _convolutions(config, len(grid), encoder.width) for name, grid in grids.items()}
        )

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n_predict d"]:
        layout, plan = encoded.layout, encoded.plan
        placed, shown = place_visible(encoded.visible[0], plan, num_tokens=layout.num_tokens)
        present = present_tokens(layout, plan.copies)
        x = torch.where(shown[:, :, None], placed, self.mask_token.to(placed.dtype))
        decoded = [self._decode(x, present, span) for span in layout.spans]
        return predicted_rows(torch.cat(decoded, dim=1), plan)

    def _decode(
        self, x: Float[Tensor, "r n c"], present: Bool[Tensor, "r n"], span: Span
    ) -> Float[Tensor, "r m d"]:
        assert span.grid is not None, "build takes only modalities with a grid"
        shape = tuple(span.grid.values())
        assert math.prod(shape) == len(span), "tokens with a grid fill it in storage order"
        where = slice(span.start, span.stop)
        x = x[:, where].unflatten(1, shape)
        there = present[:, where].unflatten(1, shape)[..., None]
        layers = self.convolutions[span.modality]
        assert isinstance(layers, nn.ModuleList)
        for layer in layers:
            x = x * there
            out = layer(x.movedim(-1, 1)).movedim(1, -1)
            out = F.gelu(F.layer_norm(out, (self.width,)))
            x = out + x if out.shape == x.shape else out
        return x.flatten(1, -2)


def _convolutions(config: ConvDecoder, num_axes: int, input_width: int) -> nn.ModuleList:
    make = _CONVOLUTIONS[num_axes]
    widths = [input_width, *(config.width for _ in range(config.depth))]
    padding = config.kernel // 2
    return nn.ModuleList(
        make(before, after, config.kernel, padding=padding, groups=config.groups)
        for before, after in pairwise(widths)
    )
