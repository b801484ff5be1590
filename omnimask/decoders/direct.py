"""No decoder: the encoder itself saw mask tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from omnimask.network.encoder import Encoded, Encoder
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class NoDecoder:
    """The encoder itself saw mask tokens; one linear head reads them (SimMIM, BEiT)."""

    @property
    def hidden(self) -> str:
        return "replace"

    def output_width(self, encoder: Encoder, /) -> int:
        return encoder.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        return _Direct()


class _Direct(nn.Module):
    def forward(self, encoded: Encoded) -> Float[Tensor, "r n d"]:
        return Rows.of(encoded.plan.num_predict).unpack(encoded.predict[0])
