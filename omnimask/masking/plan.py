"""MaskPlan: which tokens the encoder sees and which are predicted. All id arithmetic is here."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from omnimask.tokens import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskPlan:
    """Token ids per row; row i belongs to sample i // copies. Ids are sorted, real ones first.

    `*_ok` is False where a row has fewer ids than the widest row (the id there is 0).
    `num_visible` and `num_predict` are the row sums of the flags as host integers. `predict` may
    overlap `visible` or leave hidden tokens out.
    """

    visible_ids: Int64[Tensor, "r n_visible"]
    visible_ok: Bool[Tensor, "r n_visible"]
    predict_ids: Int64[Tensor, "r n_predict"]
    predict_ok: Bool[Tensor, "r n_predict"]
    num_visible: tuple[int, ...]
    num_predict: tuple[int, ...]
    copies: int = 1
