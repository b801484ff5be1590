"""Spherical k-means on the tokens of all processes, in a fixed number of steps."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from omnimask.foundation.collective import cat_over_ranks, own_rank, sum_over_ranks
from omnimask.foundation.rng import Rng
from omnimask.objectives.code_usage import count_codes

_LAST = torch.iinfo(torch.int64).max


def token_places(num_tokens: int, device: torch.device) -> Int64[Tensor, " t"]:
    """The place of each token of this process among those of all, which follow by rank."""
    own = torch.full((1,), num_tokens, device=device)
    before = cat_over_ranks(own)[: own_rank()].sum()
    return before + torch.arange(num_tokens, device=device)


def draw_starts(
    z: Float[Tensor, "t c"], rng: Rng, *, ok: Bool[Tensor, " t"], num_centers: int
) -> tuple[Float[Tensor, "k c"], Bool[Tensor, ""]]:
    """`num_centers` different tokens of all processes, drawn among those that are ok; and whether
    there are so many. With fewer, the rest are zeros. The streams of `rng` belong to the tokens.
    """
    turn = torch.where(ok, rng.bits(1).squeeze(1), _LAST)
    enough = sum_over_ranks(ok.sum()) >= num_centers
    order = turn.argsort(stable=True)[:num_centers]
    # Processes may have different numbers of tokens; what they exchange has one shape.
    missing = num_centers - len(order)
    drawn = torch.where(ok[order, None], z[order], 0.0)
    drawn = cat_over_ranks(F.pad(drawn, (0, 0, 0, missing)))
    turn = cat_over_ranks(torch.cat([turn[order], turn.new_full((missing,), _LAST)]))
    return drawn[turn.argsort(stable=True)[:num_centers]], enough


def spherical_kmeans(
    z: Float[Tensor, "t c"],
    starts: Float[Tensor, "k c"],
    *,
    ok: Bool[Tensor, " t"],
    num_steps: int = 10,
) -> tuple[Float[Tensor, "k c"], Float[Tensor, " k"]]:
    """Centres of the ok ones among the vectors of length one `z`, and how many had each as their
    nearest in the last step, before it moved.

    A step gives every vector to the centre of largest cosine, the first of equals, and moves each
    centre to the direction of the mean of its vectors (Dhillon and Modha 2001, section 3,
    https://doi.org/10.1023/A:1007612920971); one without vectors stays. As in the codebook of the
    official BEiT v2 (norm_ema_quantizer.py), whose processes each look at their own tokens; here
    all count as one batch.
    """
    z = torch.where(ok[:, None], z, 0.0)
    centers, counts = starts, starts.new_zeros(len(starts))
    for _ in range(num_steps):
        ids = (z @ centers.T).argmax(dim=-1)
        sums = sum_over_ranks(sum_members(z, ids, num_centers=len(centers)))
        counts = sum_over_ranks(count_codes(ids, ok.to(z.dtype), num_codes=len(centers)))
        centers = torch.where(counts[:, None] > 0, F.normalize(sums, dim=-1), centers)
    return centers, counts


def sum_members(
    z: Float[Tensor, "t c"], ids: Int64[Tensor, " t"], *, num_centers: int
) -> Float[Tensor, "k c"]:
    """The sum of the vectors of each id, by a product: index_add of fractions is not deterministic
    on a GPU.
    """
    members = ids == torch.arange(num_centers, device=ids.device)[:, None]
    return members.to(z.dtype) @ z
