"""Embedding, positions and prefix tokens, from timm's names to ours."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import from_json
from omnimask.transfer.importing.block_weights import bias_table, has_bias, take

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PRE_NORM = "norm_pre.weight"  # of what enters the first block
_AUDIOSET = (-4.2677393, 2 * 4.5689974)  # AudioMAE's code divides by twice the deviation


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the weights do not say; None for the usual value.

    `positions`: "table" has them in the file, "rotary" turns as DINOv3 does, "none" has neither.
    `heads`: their usual number at a width. `size`: pixels, or frames and bands; for clips frames,
    rows, columns; for clouds points, groups, points of a group.
    """

    kind: str
    norm_eps: float
    positions: Literal["table", "rotary"] = "table"
    heads: Mapping[int, int]
    act: Literal["gelu", "quick_gelu"] = "gelu"
    num_heads: int | None = None
    size: tuple[int, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokenizer:
    """What stands in front of the blocks: a modality's record, its weights by our names, and the
    prefix tokens.
    """

    modality: Any
    width: int
    weights: Mapping[str, Tensor]
    positions: Literal["additive", "rotary", "none"] = "additive"
    class_token: Float[Tensor, "1 d"] | None = None
    registers: Float[Tensor, "r d"] | None = None


def take_grid(state: dict[str, Tensor], known: Known) -> Tokenizer:
    """Patches of images, spectrograms and clips, which one convolution embeds.

    RecipeError where the number of places does not tell the size, and it is not given either.
    """
    kernel = take(state, "patch_embed.proj.weight")
    width, patch = kernel.shape[0], tuple(kernel.shape[2:])
    if PRE_NORM in state:  # CLIP, whose patches have no bias
        state.setdefault("patch_embed.proj.bias", torch.zeros(width))
        for name in ("cls_token", "pos_embed"):
            state[name] = take(state, name).reshape(1, -1, width)
    class_token = take(state, "cls_token")[0] if "cls_token" in state else None
    registers = take(state, "register_tokens")[0] if "register_tokens" in state else None
    table = _take_table(state, known)
    grid = _grid(state, known, patch, num_places=None if table is None else len(table))
    if known.kind == "video":
        table = interleaved_waves(math.prod(grid), width)
    weights = {
        f"backbone.contents.embeddings.{known.kind}.weight": pixels_last(kernel),
        f"backbone.contents.embeddings.{known.kind}.bias": take(state, "patch_embed.proj.bias"),
    }
    if table is not None:
        extra = len(table) - math.prod(grid)
        if extra == 1 and class_token is not None:
            class_token = class_token + table[:1]
        elif extra:
            raise RecipeError(
                f"pos_embed has {len(table)} places, which are not those of {grid} cells; write "
                "--size"
            )
        weights[f"backbone.places.positions.{known.kind}.table"] = table[extra:]
    modality = _modality(known, grid, patch, num_channels=kernel.shape[1])
    if table is None:
        del modality["positions"]  # the encoder adds none
    return Tokenizer(
        modality=from_json(modality),
        width=width,
        weights=weights,
        positions="additive" if table is not None else _other_positions(known),
        class_token=class_token,
        registers=registers,
    )


def _take_table(state: dict[str, Tensor], known: Known) -> Float[Tensor, "n d"] | None:
    """Learned places, [CLS] first where it has one; None where there are none in the file."""
    if known.kind == "video" or known.positions == "rotary":
        return None
    if "pos_embed" not in state and has_bias(state):
        return None
    return take(state, "pos_embed")[0]


def _other_positions(known: Known) -> Literal["rotary", "none"]:
    return "rotary" if known.positions == "rotary" else "none"


def _grid(
    state: Mapping[str, Tensor], known: Known, patch: tuple[int, ...], *, num_places: int | None
) -> tuple[int, ...]:
    size = known.size
    if size is None and known.kind == "video":
        size = (16, 224, 224)
    elif size is None and known.kind == "audio":
        size = (1024, 128)
    elif size is None:
        side = _side(state, num_places)
        size = (224, 224) if side is None else (side * patch[0], side * patch[1])
    if len(size) != len(patch) or any(s % p for s, p in zip(size, patch)):
        raise RecipeError(f"--size must be a multiple of the patch {patch}, got {size}")
    return tuple(s // p for s, p in zip(size, patch))


def _side(state: Mapping[str, Tensor], num_places: int | None) -> int | None:
    """Cells along one side of a square, as the places or the distances between them tell."""
    if num_places is not None:
        return math.isqrt(num_places)
    table = bias_table(state)
    return None if table is None else (math.isqrt(len(table) - 3) + 1) // 2


def pixels_last(kernel: Float[Tensor, "d c *patch"]) -> Float[Tensor, "d v"]:
    """A convolution's kernel as a linear layer on patches with the channels fastest."""
    return kernel.movedim(1, -1).flatten(1)


def interleaved_waves(num_tokens: int, dim: int) -> Float[Tensor, "n d"]:
    """VideoMAE's table: one axis over all tokens, sines at even and cosines at odd dimensions.

    https://arxiv.org/abs/1706.03762, section 3.5.
    """
    even = torch.arange(dim, dtype=torch.float64).div(2, rounding_mode="floor") * 2 / dim
    angles = torch.arange(num_tokens, dtype=torch.float64)[:, None] / 10_000**even
    angles[:, 0::2] = angles[:, 0::2].sin()
    angles[:, 1::2] = angles[:, 1::2].cos()
    return angles.float()


def _modality(
    known: Known, grid: tuple[int, ...], patch: tuple[int, ...], *, num_channels: int
) -> dict[str, Any]:
    size = [cells * length for cells, length in zip(grid, patch)]
    if known.kind == "audio":
        mean, std = (n[0] if n else usual for n, usual in zip((known.mean, known.std), _AUDIOSET))
        fields = {"window_s": size[0] * 0.010, "num_mels": size[1], "mean": mean, "std": std}
        record = "modalities.audio:AudioSpectrogram"
        return {"record": record, "patch": list(patch), "positions": "table", **fields}
    usual = _IMAGENET if num_channels == 3 else ((0.5,) * num_channels,) * 2
    mean, std = known.mean or usual[0], known.std or usual[1]
    common = {"mean": list(mean), "std": list(std), "positions": "table"}
    if known.kind == "video":
        record = "modalities.video:VideoTubelets"
        clip = {"num_frames": size[0], "size": size[1:], "tubelet": list(patch)}
        return {"record": record, **clip, **common}
    record = "modalities.image:ImagePatches"
    return {
        "record": record,
        "size": size,
        "patch": list(patch),
        "num_channels": num_channels,
    } | common
