"""No decoding at all: what the encoder says of tokens that it saw."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from omnimask.decoders.decoder import place_visible, predicted_rows
from omnimask.decoders.reading import Reading
from omnimask.network.encoder import Encoded, Encoder
from omnimask.tokens.modality import Modality


@dataclass(frozen=True, kw_only=True, slots=True)
class VisibleDecoder:
    """A visible token's own encoded vector as its features, zero at hidden ones.

    For objectives with `where="visible"` under a masker that predicts visible tokens
    (PredictVisible, ShowAll). `reads`: what of the encoder, None is its normalised output.
    """

    reads: Reading | None = None

    @property
    def hidden(self) -> str:
        return "drop"

    def output_width(self, encoder: Encoder, /) -> int:
        return encoder.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return () if self.reads is None else self.reads.layers(encoder)

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        return _Visible(self, encoder)


class _Visible(nn.Module):
    def __init__(self, config: VisibleDecoder, encoder: Encoder) -> None:
        super().__init__()
        self.reading = None if config.reads is None else config.reads.build(encoder)

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n_predict d"]:
        visible = encoded.visible[0] if self.reading is None else self.reading(encoded)[1]
        placed, _ = place_visible(visible, encoded.plan, num_tokens=encoded.layout.num_tokens)
        return predicted_rows(placed, encoded.plan)
