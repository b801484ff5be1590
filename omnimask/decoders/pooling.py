"""The mean of a decoder's features over neighbouring cells of a grid."""

import math
from collections.abc import Sequence
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.decoders.decoder import WholeRows
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality


def check_pool(pool: tuple[int, ...], modalities: Sequence[Modality]) -> None:
    """RecipeError unless every modality's grid can be cut into such blocks of cells."""
    for modality in modalities:
        sizes = () if modality.grid is None else tuple(modality.grid.values())
        fits = len(sizes) == len(pool) and not any(n % k for n, k in zip(sizes, pool))
        if not fits:
            raise RecipeError(
                f"decoder.pool={pool} must divide the axes of {modality.name}, whose grid is "
                f"{modality.grid}; write one divisor for each axis, or pool=None"
            )


def pool_cells(
    packed: Float[Tensor, "q d"], whole: WholeRows, pool: tuple[int, ...]
) -> Float[Tensor, "q d"]:
    """Each token's mean over its block of cells; tokens with a grid fill it in storage order."""
    padded = whole.rows.unpack(packed)
    parts = []
    for span in whole.encoded.layout.spans:
        assert span.grid is not None, "build takes only modalities with a grid"
        sizes = tuple(span.grid.values())
        assert math.prod(sizes) == len(span), "every cell has its token"
        split = list(chain.from_iterable((n // k, k) for n, k in zip(sizes, pool, strict=True)))
        cells = padded[:, span.start : span.stop].unflatten(1, split)
        inside = tuple(range(2, 2 + 2 * len(pool), 2))
        mean = cells.mean(dim=inside, keepdim=True).expand_as(cells)
        parts.append(mean.reshape(len(padded), len(span), -1))
    return whole.rows.pack(torch.cat(parts, dim=1))
