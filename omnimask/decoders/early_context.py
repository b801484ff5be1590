"""A second head: an early layer's patches, with [CLS] from the last layer."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from omnimask.decoders.class_token import check_class_token, class_tokens
from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import Block, Packing
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.network.initialisation import initialise
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyContextDecoder:
    """`depth` blocks over an early layer's tokens and the last layer's [CLS].

    BEiT v2's patch aggregation (https://arxiv.org/abs/2208.06366, section 2.3): what the early
    tokens lack must come through [CLS]. Tokens and [CLS] are block outputs before any norm; blocks
    have the encoder's width, heads and style. `layer` counts from the last (-1): the official code
    takes the 9th of 12 blocks (-4, the default) and the 21st of 24 (also -4). It stands beside a
    `NoDecoder`: alone it would leave the encoder's final norm without a gradient.

    The official code shares the final norm and the head with the first decoder (`share_norm`, and
    `SharedHead` in the second objective). It has relative position biases and drops branches in
    these blocks too, which is left out; where the encoder adds no embedding of the place, one is
    added here.
    """

    layer: int = -4
    depth: int = 2
    share_norm: bool = False

    def __post_init__(self) -> None:
        if self.layer >= -1:
            raise RecipeError(
                f"EarlyContextDecoder.layer counts from the last block and lies before it, got "
                f"{self.layer}; write -4"
            )
        if self.depth < 1:
            raise RecipeError(f"EarlyContextDecoder.depth must be >= 1, got {self.depth}; write 2")

    @property
    def hidden(self) -> str:
        return "replace"

    def output_width(self, encoder: Encoder, /) -> int:
        return encoder.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return (self.layer, -1)

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        check_class_token("EarlyContextDecoder", encoder)
        if -self.layer > encoder.depth:
            raise RecipeError(
                f"EarlyContextDecoder.layer must be at least -{encoder.depth} (encoder.depth), got "
                f"{self.layer}; write {-max(encoder.depth // 3, 2)}"
            )
        return _EarlyContext(self, modalities, encoder)


class _EarlyContext(nn.Module):
    def __init__(
        self, config: EarlyContextDecoder, modalities: Sequence[Modality], encoder: Encoder
    ) -> None:
        super().__init__()
        # An encoder with additive positions has put the places into its tokens already.
        self.places = None if encoder.adds_places else Places(modalities, encoder.width)
        self.blocks = nn.ModuleList(
            Block(encoder.width, encoder.num_heads, encoder.style) for _ in range(config.depth)
        )
        self.norm = None if config.share_norm else encoder.style.build_norm(encoder.width)
        initialise(self.blocks)

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n_predict d"]:
        layout, plan = encoded.layout, encoded.plan
        visible, predict = encoded.visible[1], encoded.predict[1]
        if self.places is not None:
            visible = visible + self.places(layout, encoded.packed_visible())
            predict = predict + self.places(layout, encoded.packed_predict())
        classes = class_tokens(encoded.prefix[2], encoded.num_prefix)
        rows = Rows.of((1,) * len(plan.num_visible), plan.num_visible, plan.num_predict)
        x, packing = rows.join(classes, visible, predict), Packing(groups=(rows,))
        for block in self.blocks:
            x = block(x, packing)
        _, _, predict = rows.split(x)
        norm = encoded.norm if self.norm is None else self.norm
        assert norm is not None, "what an encoder has encoded has its norm"
        return Rows.of(plan.num_predict).unpack(norm(predict))
