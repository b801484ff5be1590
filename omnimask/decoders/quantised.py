"""Decodes every visible token from its code in a codebook: the training of a tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from omnimask.decoders.decoder import place_visible, predicted_rows
from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import Block, BlockStyle, Packing, check_heads
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.network.initialisation import initialise
from omnimask.objectives.codebook import Codebook
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantisedDecoder:
    """The bottleneck and decoder of VQ-KD (https://arxiv.org/abs/2208.06366, section 2.2.1).

    Encoded tokens are projected to `code_dim`, replaced by their nearest of `num_codes` codes, and
    decoded by a transformer with positions. For recipes that show what they predict (`ShowAll`): a
    predicted token that is not visible gets zeros. `kmeans_init`: the codes start from k-means on
    the first batch, else from its tokens served worst. `commitment` weighs the loss that draws
    tokens to their codes, the module's own.

    Defaults are the official `vqkd_encoder_base_decoder_3x768x12`. There the decoder has a [CLS]
    token and its linear layers start from a normal distribution of deviation 0.02; here it has
    none, since [CLS] has no code, and they start as everywhere.
    """

    num_codes: int = 8192
    code_dim: int = 32
    width: int = 768
    depth: int = 3
    num_heads: int = 12
    decay: float = 0.99
    kmeans_init: bool = True
    commitment: float = 1.0
    style: BlockStyle = field(default_factory=BlockStyle)

    def __post_init__(self) -> None:
        check_heads("decoder", self.width, self.num_heads)
        for name, value, usual in (
            ("num_codes", self.num_codes, 8192),
            ("code_dim", self.code_dim, 32),
        ):
            if value < 2:
                raise RecipeError(
                    f"QuantisedDecoder.{name} must be >= 2, got {value}; write {usual}"
                )
        if not 0.0 <= self.decay < 1.0:
            raise RecipeError(
                f"QuantisedDecoder.decay must be in [0, 1), got {self.decay}; write 0.99"
            )
        if not self.commitment >= 0.0:
            raise RecipeError(
                f"QuantisedDecoder.commitment must be >= 0, got {self.commitment}; write 1.0"
            )

    @property
    def hidden(self) -> str:
        return "any"

    def output_width(self, encoder: Encoder, /) -> int:
        return self.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        return _Quantised(self, modalities, encoder)


class _Quantised(nn.Module):
    def __init__(
        self, config: QuantisedDecoder, modalities: Sequence[Modality], encoder: Encoder
    ) -> None:
        super().__init__()
        self.commitment = config.commitment
        self.down = nn.Sequential(
            nn.Linear(encoder.width, encoder.width),
            nn.Tanh(),
            nn.Linear(encoder.width, config.code_dim),
        )
        self.codebook = Codebook(
            num_codes=config.num_codes,
            dim=config.code_dim,
            decay=config.decay,
            kmeans_init=config.kmeans_init,
        )
        self.up = nn.Linear(config.code_dim, config.width)
        self.places = Places(modalities, config.width)
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, config.style) for _ in range(config.depth)
        )
        self.norm = config.style.build_norm(config.width)
        self.last = nn.Sequential(nn.Linear(config.width, config.width), nn.Tanh())
        initialise(self, exclude=[self.places])

    def forward(self, encoded: Encoded) -> tuple[Float[Tensor, "r n_predict d"], Float[Tensor, ""]]:
        layout, plan = encoded.layout, encoded.plan
        quantised, _, commitment = self.codebook(self._project(encoded))
        x = self.up(quantised) + self.places(layout, encoded.packed_visible())
        packing = Packing(groups=(Rows.of(plan.num_visible),))
        for block in self.blocks:
            x = block(x, packing)
        x = self.last(self.norm(x))
        placed, _ = place_visible(x, plan, num_tokens=layout.num_tokens)
        return predicted_rows(placed, plan), self.commitment * commitment

    def codes(self, encoded: Encoded) -> Int64[Tensor, " t"]:
        """The code of each packed visible token."""
        z = nn.functional.normalize(self._project(encoded), dim=-1)
        ids, _ = self.codebook.nearest(z)
        return ids

    def health(self) -> dict[str, Tensor]:
        return self.codebook.health()

    def _project(self, encoded: Encoded) -> Float[Tensor, "t c"]:
        # In fp32, as in the official code: a code may hang on the last bits.
        x = encoded.visible[0]
        with torch.autocast(x.device.type, enabled=False):
            return self.down(x.float())
