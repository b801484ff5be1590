"""How many tokens a ratio means, and the check that it is a ratio."""

import math

from omnimask.foundation.errors import RecipeError
from omnimask.masking.plan import Counts

# A product such as 0.9 * 15 may miss the half that it means by a rounding error.
_SLACK = 1e-9


def check_ratio(ratio: float) -> None:
    """RecipeError unless 0 < ratio < 1."""
    if 0.0 < ratio < 1.0:
        return
    example = ratio / 100 if 1.0 < ratio < 100.0 else 0.75
    raise RecipeError(f"mask ratio must be in (0, 1), got {ratio:g}; write {example:g}")


def share_count(share: float, total: int) -> int:
    """`share * total` to the nearest integer, halves down; at least one where there is any."""
    return max(min(total, 1), math.ceil(share * total - 0.5 - _SLACK))


def visible_count(ratio: float, num_valid: int) -> int:
    """How many of `num_valid` tokens stay visible under a mask ratio.

    The nearest integer, halves down, which gives the counts of MAE (49 of 196 at 0.75), VideoMAE
    (20 of 196 at 0.9), AudioMAE (102 of 512 at 0.8) and Point-MAE (26 of 64 at 0.6), each of which
    rounds in its own way. At least one token is visible and, of two or more, at least one hidden; a
    sample with a single token shows it.
    """
    return min(share_count(1.0 - ratio, num_valid), max(num_valid - 1, min(num_valid, 1)))


def visible_counts(ratio: float, num_valid: Counts) -> Counts:
    """`visible_count` for every row."""
    return tuple(visible_count(ratio, count) for count in num_valid)
