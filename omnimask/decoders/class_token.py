"""The encoder's [CLS] output as the prediction for every token."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoded, Encoder
from omnimask.tokens.modality import Modality


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassTokenDecoder:
    """[CLS], normalised, at each predicted place.

    With a target that is the same for all tokens of a sample this makes a loss on [CLS], such as
    data2vec 2.0's (https://arxiv.org/abs/2212.07525, section 3), where [CLS] regresses the mean
    of the teacher's tokens. There [CLS] itself is the prediction; here the objective's linear head
    stands between. A sample counts once for each of its predicted tokens.
    """

    @property
    def hidden(self) -> str:
        return "any"

    def output_width(self, encoder: Encoder, /) -> int:
        return encoder.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        check_class_token("ClassTokenDecoder", encoder)
        return _ClassToken()


class _ClassToken(nn.Module):
    def forward(self, encoded: Encoded) -> Float[Tensor, "r n_predict d"]:
        classes = class_tokens(encoded.prefix[0], encoded.num_prefix)
        return classes[:, None].expand(-1, encoded.plan.predict_ids.shape[1], -1)


def check_class_token(owner: str, encoder: Encoder) -> None:
    """RecipeError unless the encoder has a [CLS] token."""
    if not encoder.class_token:
        raise RecipeError(
            f"{owner} reads [CLS], but the recipe says encoder.class_token=False; write True"
        )


def class_tokens(prefix: Float[Tensor, "p d"], num_prefix: int) -> Float[Tensor, "r d"]:
    """[CLS] of every row: it stands before the registers."""
    return prefix.unflatten(0, (-1, num_prefix))[:, 0]
