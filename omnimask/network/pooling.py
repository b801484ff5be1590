"""One vector per sample from the encoder's output."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.network.encoder import Encoded
from omnimask.tokens.tokens import Rows

Pooling = Literal["mean", "cls"]


def pool(encoded: Encoded, how: Pooling = "mean", *, layer: int = 0) -> Float[Tensor, "r d"]:
    """The mean over a row's visible tokens, or its [CLS] token, in fp32.

    `layer` counts through `encoded`: 0 is the normalised output, the chosen layers follow. A row
    without a visible token has the zero vector as its mean; registers are never part of one. "cls"
    takes an encoder with a [CLS] token.
    """
    if how == "cls":
        assert encoded.num_prefix > 0, "checked by whoever lets a user ask for [CLS]"
        return encoded.prefix[layer].float().unflatten(0, (-1, encoded.num_prefix))[:, 0]
    packed, lengths = encoded.visible[layer].float(), encoded.plan.num_visible
    sums = packed.new_zeros(len(lengths), packed.shape[1])
    sums.index_add_(0, Rows.of(lengths).row_of_token(packed.device), packed)
    return sums / torch.tensor(lengths, device=packed.device).clamp_min(1)[:, None]
