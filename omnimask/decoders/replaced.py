"""Blocks over everything that an encoder with mask tokens has encoded."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from omnimask.network.block_kinds import build_block
from omnimask.network.blocks import BlockStyle, Packing
from omnimask.network.encoder import Encoded, Encoder
from omnimask.network.initialisation import initialise
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplacedDecoder:
    """`depth` blocks of the encoder's width and heads over its visible and replaced tokens.

    Places are in the tokens already; there is no projection and no mask token of its own.
    """

    depth: int = 8
    style: BlockStyle = field(default_factory=BlockStyle)

    @property
    def hidden(self) -> str:
        return "replace"

    def output_width(self, encoder: Encoder, /) -> int:
        return encoder.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        return _Replaced(self, encoder)


class _Replaced(nn.Module):
    def __init__(self, config: ReplacedDecoder, encoder: Encoder) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            build_block(config.style, encoder.width, encoder.num_heads) for _ in range(config.depth)
        )
        self.norm = config.style.build_norm(encoder.width)
        initialise(self.blocks)

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n_predict d"]:
        plan = encoded.plan
        num_prefix = (encoded.num_prefix,) * len(plan.num_visible)
        rows = Rows.of(num_prefix, plan.num_visible, plan.num_predict)
        x = rows.join(encoded.prefix[0], encoded.visible[0], encoded.predict[0])
        for block in self.blocks:
            x = block(x, Packing(groups=(rows,)))
        return Rows.of(plan.num_predict).unpack(self.norm(rows.split(x)[2]))
