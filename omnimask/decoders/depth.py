"""Blocks that each read one depth of the encoder, from deep to shallow."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import Attention, Block, BlockStyle, Packing, check_heads
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.network.initialisation import initialise
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthDecoder:
    """Encoded and mask tokens go through `num_plain` blocks of self-attention, then through one
    for each of `layers`, which also attends to what the encoder had after that block (counted
    from the last, -1), brought to the decoder's width by a linear layer of its own.

    Hi-End-MAE, https://arxiv.org/abs/2502.08347, section 3.2; the order and the plain blocks are
    those of its code (networks/vit.py), which reads blocks 10, 7 and 4 of 12.
    """

    width: int = 384
    num_heads: int = 12
    num_plain: int = 2
    layers_read: tuple[int, ...] = (-3, -6, -9)
    style: BlockStyle = field(default_factory=BlockStyle)

    def __post_init__(self) -> None:
        check_heads("decoder", self.width, self.num_heads)
        if not self.layers_read or self.num_plain < 0:
            raise RecipeError(
                "DepthDecoder.layers_read must have one layer or more and num_plain be 0 or more, "
                f"got {self.layers_read} and {self.num_plain}; write layers_read=(-3, -6, -9)"
            )

    @property
    def hidden(self) -> str:
        return "drop"

    def output_width(self, encoder: Encoder, /) -> int:
        return self.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        if any(not -encoder.depth <= layer < 0 for layer in self.layers_read):
            raise RecipeError(
                f"DepthDecoder.layers_read counts blocks from the last, -1 to -{encoder.depth} "
                f"(encoder.depth), got {self.layers_read}"
            )
        return tuple(dict.fromkeys(self.layers_read))

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        return _Depth(self, modalities, encoder)


class _Depth(nn.Module):
    def __init__(
        self, config: DepthDecoder, modalities: Sequence[Modality], encoder: Encoder
    ) -> None:
        super().__init__()
        style, width = config.style, config.width
        layers = config.layers(encoder)
        self.entries = [1 + layers.index(layer) for layer in config.layers_read]
        self.project = nn.Linear(encoder.width, width)
        self.places = Places(modalities, width)
        # An encoder with additive positions has put the places into its tokens already.
        self.adds_context_places = not encoder.adds_places
        self.mask_token = nn.Parameter(torch.empty(width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.plain = nn.ModuleList(
            Block(width, config.num_heads, style) for _ in range(config.num_plain)
        )
        self.contexts = nn.ModuleList(nn.Linear(encoder.width, width) for _ in self.entries)
        self.blocks = nn.ModuleList(
            _DepthBlock(width, config.num_heads, style) for _ in self.entries
        )
        self.norm = style.build_norm(width)
        initialise(self, exclude=[self.places])

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n d"]:
        layout, plan = encoded.layout, encoded.plan
        where = self.places(layout, encoded.packed_visible())
        visible = self.project(encoded.visible[0]) + where
        masks = self.mask_token + self.places(layout, encoded.packed_predict())
        num_prefix = (encoded.num_prefix,) * len(plan.num_visible)
        rows = Rows.of(num_prefix, plan.num_visible, plan.num_predict)
        x = rows.join(self.project(encoded.prefix[0]), visible, masks.to(visible.dtype))
        packing, context_rows = Packing(groups=(rows,)), Rows.of(num_prefix, plan.num_visible)
        for block in self.plain:
            x = block(x, packing)
        for entry, project, block in zip(self.entries, self.contexts, self.blocks, strict=True):
            seen = project(encoded.visible[entry])
            seen = seen + where if self.adds_context_places else seen
            context = context_rows.join(project(encoded.prefix[entry]), seen)
            x = block(x, packing, context=context, context_rows=context_rows)
        _, _, predict = rows.split(x)
        return Rows.of(plan.num_predict).unpack(self.norm(predict))


class _DepthBlock(nn.Module):
    """Attention to all tokens of the row, then to the context, then an MLP."""

    def __init__(self, dim: int, num_heads: int, style: BlockStyle) -> None:
        super().__init__()
        options = {"qk_norm": style.qk_norm, "path": style.attention}
        self.norm_self, self.self_attn = style.build_norm(dim), Attention(dim, num_heads, **options)
        self.norm_cross = style.build_norm(dim)
        self.cross_attn = Attention(dim, num_heads, context_dim=dim, **options)
        self.norm_mlp, self.mlp = style.build_norm(dim), style.build_mlp(dim)
        self.scales = nn.ModuleList(style.build_scale(dim) for _ in range(3))

    def forward(
        self,
        x: Float[Tensor, "t d"],
        packing: Packing,
        *,
        context: Float[Tensor, "s d"],
        context_rows: Rows,
    ) -> Float[Tensor, "t d"]:
        x = x + self.scales[0](self.self_attn(self.norm_self(x), packing))
        attended = self.cross_attn(
            self.norm_cross(x), packing, context=context, context_rows=(context_rows,)
        )
        x = x + self.scales[1](attended)
        return x + self.scales[2](self.mlp(self.norm_mlp(x)))
