"""What modalities share whose first axis is time, and whose samples may be shorter than the grid.

Padding stands at the end. Raw holds the number of real frames twice: `num_frames` on the host, for
counts that nothing may wait for, and `real_frames` on the device, for `split` and `join`.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from omnimask.tokens.tokens import Grid, Tokens, grid_coords


def frame_counts(parts: Sequence[Tensor]) -> dict[str, Tensor | tuple[int, ...]]:
    """`num_frames` and `real_frames` of a raw form: the lengths of `parts` along their axis 0."""
    counts = tuple(len(part) for part in parts)
    return {"num_frames": counts, "real_frames": torch.tensor(counts)}


def stacked_in_time(parts: Sequence[Tensor], length: int) -> Shaped[Tensor, "b t *rest"]:
    """Parts of different lengths along axis 0, with zeros up to `length`."""
    stacked = parts[0].new_zeros(len(parts), length, *parts[0].shape[1:])
    for row, part in zip(stacked, parts, strict=True):
        row[: len(part)] = part
    return stacked


def ragged_tokens(
    values: Float[Tensor, "b n v"],
    *,
    grid: Grid,
    real: Int64[Tensor, " b"],
    counts: Sequence[int],
) -> Tokens:
    """Tokens in the order of `grid`, time first, of which a sample has those of its first `real`
    cells in time; `counts` are the same numbers on the host. The others are neither valid nor
    scorable, and zero.
    """
    coords = grid_coords(grid, values.device)
    valid = coords[:, 0] < real[:, None]
    per_step = math.prod(tuple(grid.values())[1:])
    num_valid = tuple(count * per_step for count in counts)
    return Tokens(
        values=values.masked_fill(~valid[:, :, None], 0.0),
        coords=coords.expand(values.shape[0], -1, -1),
        valid=valid,
        scorable=valid,
        num_valid=num_valid,
        num_scorable=num_valid,
        grid=grid,
    )


def zero_after(
    frames: Shaped[Tensor, "b t *rest"], real: Int64[Tensor, " b"]
) -> Shaped[Tensor, "b t *rest"]:
    """Zero where a sample has no frame, that is from its frame number `real` on."""
    beyond = torch.arange(frames.shape[1], device=frames.device) >= real[:, None]
    return frames.masked_fill(beyond.view(*beyond.shape, *(1,) * (frames.dim() - 2)), 0)
