"""Losses that only class maps use: `(predicted, truth) -> (rows n)` in fp32."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def class_map_cross_entropy(
    predicted: Float[Tensor, "r n p"], truth: Float[Tensor, "r n t"]
) -> Float[Tensor, "r n"]:
    """Mean cross-entropy over a token's known pixels; zero, without a gradient, if it has none.

    `truth` has the class ids of t pixels, below 0 where unknown; `predicted` t times the logits of
    p / t classes.
    """
    known = truth >= 0
    log_shares = per_pixel(predicted.float(), truth.shape[-1]).log_softmax(dim=-1)
    ids = truth.clamp_min(0).long()[..., None]
    losses = torch.where(known, -log_shares.gather(-1, ids).squeeze(-1), 0.0)
    return losses.sum(dim=-1) / known.sum(dim=-1).clamp_min(1)


def per_pixel(logits: Float[Tensor, "r n p"], num_pixels: int) -> Float[Tensor, "r n t k"]:
    return rearrange(logits, "r n (t k) -> r n t k", t=num_pixels)
