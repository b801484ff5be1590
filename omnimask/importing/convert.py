"""From a ViT's weights under timm's names to our encoder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.blocks import BlockStyle
from omnimask.encoder import Encoder
from omnimask.encoder_file import fill_weights
from omnimask.errors import RecipeError
from omnimask.pretrained import EncoderInfo, PretrainedEncoder
from omnimask.records import from_json

_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 16, 1536: 24}
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_AUDIOSET = (-4.2677393, 2 * 4.5689974)  # AudioMAE's code divides by twice the deviation


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the weights do not say; None for the usual value. `size`: pixels, or frames and bands;
    for clips frames, rows, columns."""

    kind: str
    norm_eps: float
    num_heads: int | None = None
    size: tuple[int, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def convert(
    state: Mapping[str, Tensor], known: Known, *, name: str, origin: Mapping[str, str]
) -> PretrainedEncoder:
    """RecipeError naming the keys that are missing or not understood."""
    state = dict(state)
    kernel = _take(state, "patch_embed.proj.weight")
    width, patch = kernel.shape[0], tuple(kernel.shape[2:])
    prefix, table, grid = _prefix_and_table(state, known, width, patch)
    encoder = Encoder(
        width=width,
        depth=1 + max((int(k.split(".")[1]) for k in state if k.startswith("blocks.")), default=0),
        num_heads=_num_heads(width, known),
        class_token=prefix["class"] is not None,
        num_registers=len(prefix["registers"]),
        style=BlockStyle(
            mlp_ratio=_take(dict(state), "blocks.0.mlp.fc1.weight").shape[0] / width,
            norm_eps=known.norm_eps,
            layer_scale=1.0 if "blocks.0.ls1.gamma" in state else None,
        ),
    )
    modality = from_json(_modality(known, grid, patch, num_channels=kernel.shape[1]))
    info = EncoderInfo(name=name, modalities=(modality,), encoder=encoder, origin=origin)
    kind = known.kind
    weights = {
        f"backbone.contents.embeddings.{kind}.weight": pixels_last(kernel),
        f"backbone.contents.embeddings.{kind}.bias": _take(state, "patch_embed.proj.bias"),
        f"backbone.places.positions.{kind}.table": table,
        f"backbone.places.modalities.{kind}": torch.zeros(width),
        **_blocks(state, encoder.depth),
        "backbone.encoder.norm.weight": _take(state, "norm.weight"),
        "backbone.encoder.norm.bias": _take(state, "norm.bias"),
    }
    tokens = [prefix["registers"]]
    if prefix["class"] is not None:
        tokens.insert(0, prefix["class"])
    if encoder.num_prefix:
        weights["backbone.encoder.prefix"] = torch.cat(tokens)
    if state:
        raise RecipeError(f"{name}: keys that are not understood: {sorted(state)[:6]}")
    result = PretrainedEncoder(info)
    fill_weights(result, weights, source=name)
    return result


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


def _take(state: dict[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise RecipeError(
            f"the checkpoint lacks {key!r}; it has {sorted(state)[:4]} and {len(state)} keys in all"
        )
    return state.pop(key).detach()


def _num_heads(width: int, known: Known) -> int:
    if known.num_heads is None and width not in _HEADS:
        raise RecipeError(
            f"the weights do not say the number of heads; write --num-heads ({width})"
        )
    return known.num_heads or _HEADS[width]


def _prefix_and_table(
    state: dict[str, Tensor], known: Known, width: int, patch: tuple[int, ...]
) -> tuple[dict[str, Any], Tensor, tuple[int, ...]]:
    class_token = state.pop("cls_token").detach()[0] if "cls_token" in state else None
    registers = state.pop("register_tokens", torch.zeros(1, 0, width)).detach()[0]
    if known.kind == "video":
        grid = _grid(known, patch, None)
        return (
            {"class": class_token, "registers": registers},
            interleaved_waves(math.prod(grid), width),
            grid,
        )
    table = _take(state, "pos_embed")[0]
    grid = _grid(known, patch, len(table))
    extra = len(table) - math.prod(grid)
    if extra == 1 and class_token is not None:
        class_token = class_token + table[:1]
    elif extra:
        raise RecipeError(
            f"pos_embed has {len(table)} places, which are not those of {grid} cells; write --size"
        )
    return {"class": class_token, "registers": registers}, table[extra:], grid


def _grid(known: Known, patch: tuple[int, ...], num_places: int | None) -> tuple[int, ...]:
    size = known.size
    if size is None and known.kind == "video":
        size = (16, 224, 224)
    elif size is None and known.kind == "audio":
        size = (1024, 128)
    elif size is None:
        assert num_places is not None
        side = math.isqrt(num_places)
        size = (side * patch[0], side * patch[1])
    if len(size) != len(patch) or any(s % p for s, p in zip(size, patch)):
        raise RecipeError(f"--size must be a multiple of the patch {patch}, got {size}")
    return tuple(s // p for s, p in zip(size, patch))


def _modality(
    known: Known, grid: tuple[int, ...], patch: tuple[int, ...], *, num_channels: int
) -> dict[str, Any]:
    size = [cells * length for cells, length in zip(grid, patch)]
    if known.kind == "audio":
        mean, std = (n[0] if n else usual for n, usual in zip((known.mean, known.std), _AUDIOSET))
        fields = {"window_s": size[0] * 0.010, "num_mels": size[1], "mean": mean, "std": std}
        record = "modalities.audio.tokens:AudioSpectrogram"
        return {"record": record, "patch": list(patch), "positions": "table", **fields}
    usual = _IMAGENET if num_channels == 3 else ((0.5,) * num_channels,) * 2
    mean, std = known.mean or usual[0], known.std or usual[1]
    common = {"mean": list(mean), "std": list(std), "positions": "table"}
    if known.kind == "video":
        record = "modalities.video.tokens:VideoTubelets"
        clip = {"num_frames": size[0], "size": size[1:], "tubelet": list(patch)}
        return {"record": record, **clip, **common}
    record = "modalities.image.tokens:ImagePatches"
    return {
        "record": record,
        "size": size,
        "patch": list(patch),
        "num_channels": num_channels,
    } | common


def _blocks(state: dict[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Every block's weights, the three projections as one; a bias that is left out is zero."""
    weights = {}
    for layer in range(depth):
        block, ours = f"blocks.{layer}.", f"backbone.encoder.blocks.{layer}."
        weight, bias = _qkv(state, block + "attn.")
        weights |= {ours + "attn.qkv.weight": weight, ours + "attn.qkv.bias": bias}
        for part in ("norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"):
            for kind in ("weight", "bias"):
                weights[f"{ours}{part}.{kind}"] = _take(state, f"{block}{part}.{kind}")
        for scale in ("1", "2"):
            if f"{block}ls{scale}.gamma" in state:
                weights[f"{ours}scale{scale}.gamma"] = _take(state, f"{block}ls{scale}.gamma")
    return weights


def _qkv(state: dict[str, Tensor], attention: str) -> tuple[Tensor, Tensor]:
    def bias(name: str, width: int) -> Tensor:
        for key in (f"{attention}{name}.bias", f"{attention}{name}_bias"):
            if key in state:
                return _take(state, key)
        return torch.zeros(width)

    if attention + "qkv.weight" in state:
        weight = _take(state, attention + "qkv.weight")
        if attention + "qkv.bias" in state:
            return weight, _take(state, attention + "qkv.bias")
    else:
        weight = torch.cat([_take(state, f"{attention}{name}.weight") for name in "qkv"])
    return weight, torch.cat([bias(name, weight.shape[1]) for name in "qkv"])
