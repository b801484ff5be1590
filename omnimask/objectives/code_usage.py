"""How evenly tokens use a set of codes or prototypes."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def count_codes(
    ids: Int64[Tensor, " t"], weights: Float[Tensor, " t"], *, num_codes: int
) -> Float[Tensor, " k"]:
    """The total weight of the tokens of each code; with weights of 0 and 1 exact up to 2**24."""
    return weights.new_zeros(num_codes).index_add_(0, ids, weights)


def measure_usage(counts: Float[Tensor, " k"]) -> dict[str, Tensor]:
    """`used`: the share of codes that have a token. `perplexity`: how many codes, used equally
    often, have the entropy of these counts; from 1 (all tokens alike) to k.
    """
    share = counts / counts.sum().clamp_min(torch.finfo(counts.dtype).tiny)
    return {
        "used": (counts > 0).float().mean(),
        "perplexity": torch.special.entr(share).sum().exp(),
    }
