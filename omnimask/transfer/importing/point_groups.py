"""Point-MAE's token embedding and positions, from its names to ours."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import from_json
from omnimask.transfer.importing.block_weights import take
from omnimask.transfer.importing.tokenizers import Known, Tokenizer

_NORM_EPS = 1e-5  # of torch's BatchNorm1d, which its code leaves as it is


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A layer on single points."""

    weight: Float[Tensor, "out into"]
    bias: Float[Tensor, " out"]


def take_points(state: dict[str, Tensor], known: Known) -> Tokenizer:
    """Groups of points; there is no [CLS] in pretraining."""
    embedding, positions = _take_embedding(state), _take_positions(state)
    weights = {f"backbone.contents.embeddings.points.{k}": v for k, v in embedding.items()}
    weights |= {f"backbone.places.positions.points.{k}": v for k, v in positions.items()}
    width = len(positions["2.bias"])
    return Tokenizer(modality=from_json(_record(known.size)), width=width, weights=weights)


def _take_embedding(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of `MiniPointNet` without norms: in evaluation a batch norm is a scale and a
    shift per channel, which go into the layer in front of it.
    """
    first = _folded(state, "encoder.first_conv.0", "encoder.first_conv.1")
    lifted = _take_convolution(state, "encoder.first_conv.3")
    second = _folded(state, "encoder.second_conv.0", "encoder.second_conv.1")
    out = _take_convolution(state, "encoder.second_conv.3")
    width = second.weight.shape[1] // 2  # the group's maximum in front, then the point's own
    return {
        "point.0.weight": first.weight,
        "point.0.bias": first.bias,
        "point.3.weight": lifted.weight,
        "point.3.bias": lifted.bias,
        "from_group.weight": second.weight[:, :width].contiguous(),
        "from_point.weight": second.weight[:, width:].contiguous(),
        "from_point.bias": second.bias,
        "out.2.weight": out.weight,
        "out.2.bias": out.bias,
    }


def _take_positions(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of `CoordinateMLP`, which has the same layers under the same names."""
    names = [f"{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")]
    return {name: take(state, f"pos_embed.{name}") for name in names}


def _record(size: tuple[int, ...] | None) -> dict[str, Any]:
    """The modality's record; `size`: points, groups, points of a group, else as published."""
    size = size or (1024, 64, 32)
    if len(size) != 3:
        raise RecipeError(f"--size of clouds is points, groups, points of a group, got {size}")
    num_points, num_groups, group_size = size
    return {
        "record": "modalities.points:PointGroups",
        "num_points": num_points,
        "num_groups": num_groups,
        "group_size": group_size,
        "norm": "none",
    }


def _take_convolution(state: dict[str, Tensor], name: str) -> Layer:
    weight = take(state, f"{name}.weight")[:, :, 0]  # of one point
    return Layer(weight=weight, bias=take(state, f"{name}.bias"))


def _folded(state: dict[str, Tensor], layer: str, norm: str) -> Layer:
    before = _take_convolution(state, layer)
    state.pop(f"{norm}.num_batches_tracked", None)
    deviation = (take(state, f"{norm}.running_var") + _NORM_EPS).sqrt()
    scale = take(state, f"{norm}.weight") / deviation
    shift = take(state, f"{norm}.bias") - take(state, f"{norm}.running_mean") * scale
    return Layer(
        weight=before.weight * scale[:, None], bias=torch.addcmul(shift, before.bias, scale)
    )
