"""One vector for the whole sample, asked what is at each predicted place."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.network.initialisation import initialise
from omnimask.network.pooling import pool
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryDecoder:
    """The mean of the encoded visible tokens and a place, through a small residual MLP.

    The decoder of a conditional neural process (https://arxiv.org/abs/1807.01613, section 2.2,
    which concatenates the two; here they are joined by a linear layer of each, added and
    multiplied). Predicted tokens see nothing but the mean, so that whatever is to be predicted of a
    sample has to be in the vector that probes and searches take of it; beside a decoder that sees
    all tokens it costs little, as there is no attention in it. A row without a visible token is
    predicted from its places alone.
    """

    width: int = 256
    depth: int = 2
    style: BlockStyle = field(default_factory=BlockStyle)

    @property
    def hidden(self) -> str:
        return "any"

    def output_width(self, encoder: Encoder, /) -> int:
        return self.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        return _Summary(self, modalities, encoder)


class _Summary(nn.Module):
    def __init__(
        self, config: SummaryDecoder, modalities: Sequence[Modality], encoder: Encoder
    ) -> None:
        super().__init__()
        self.summary = nn.Linear(encoder.width, 2 * config.width)
        self.places = Places(modalities, config.width)
        style, width = config.style, config.width
        self.mlps = nn.ModuleList(
            nn.Sequential(style.build_norm(width), style.build_mlp(width))
            for _ in range(config.depth)
        )
        self.norm = config.style.build_norm(config.width)
        initialise(self, exclude=[self.places])

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n d"]:
        plan = encoded.plan
        rows = Rows.of(plan.num_predict)
        summary = self.summary(pool(encoded).to(encoded.visible[0].dtype))
        of_row = rows.row_of_token(summary.device)
        shift, scale = summary[of_row].chunk(2, dim=1)
        place = self.places(encoded.layout, encoded.packed_predict())
        x = place.to(shift.dtype) * (1 + scale) + shift
        for mlp in self.mlps:
            x = x + mlp(x)
        return rows.unpack(self.norm(x))
