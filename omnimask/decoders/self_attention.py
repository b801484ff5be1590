"""A small transformer over encoded tokens and mask tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.network.blocks import Block, BlockStyle, Packing, check_heads, initialise
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfAttentionDecoder:
    """Mask tokens stand among the encoded tokens in a small transformer.

    Defaults are MAE's (https://arxiv.org/abs/2111.06377, section 4.1: 8 blocks of width 512).
    """

    width: int = 512
    depth: int = 8
    num_heads: int = 16
    style: BlockStyle = field(default_factory=BlockStyle)

    def __post_init__(self) -> None:
        check_heads("decoder", self.width, self.num_heads)

    @property
    def hidden(self) -> str:
        return "drop"

    def output_width(self, encoder: Encoder, /) -> int:
        return self.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        return _SelfAttention(self, modalities, encoder)


class _SelfAttention(nn.Module):
    def __init__(
        self, config: SelfAttentionDecoder, modalities: Sequence[Modality], encoder: Encoder
    ) -> None:
        super().__init__()
        self.project = nn.Linear(encoder.width, config.width)
        self.places = Places(modalities, config.width)
        self.mask_token = nn.Parameter(torch.empty(config.width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, config.style) for _ in range(config.depth)
        )
        self.norm = config.style.build_norm(config.width)
        initialise(self, exclude=[self.places])

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n d"]:
        layout, plan = encoded.layout, encoded.plan
        visible = self.project(encoded.visible[0]) + self.places(layout, encoded.packed_visible())
        masks = self.mask_token + self.places(layout, encoded.packed_predict())
        prefix = self.project(encoded.prefix[0])
        num_prefix = (encoded.num_prefix,) * len(plan.num_visible)
        rows = Rows.of(num_prefix, plan.num_visible, plan.num_predict)
        x, packing = rows.join(prefix, visible, masks.to(visible.dtype)), Packing(groups=(rows,))
        for block in self.blocks:
            x = block(x, packing)
        _, _, predict = rows.split(x)
        return Rows.of(plan.num_predict).unpack(self.norm(predict))
