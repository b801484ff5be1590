"""State dicts from files, and from `timm` and `transformers` models in memory."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError

_WRAPPERS = ("base_model", "model", "module", "state_dict", "teacher")


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignWeights:
    """Weights under the source's own names; what only an object in memory tells, else None.

    `format`: that of its keys, where they do not tell.
    """

    name: str
    state: Mapping[str, Tensor]
    format: str | None = None
    num_heads: int | None = None
    norm_eps: float | None = None
    act: Literal["gelu", "quick_gelu"] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def read_source(source: "Path | str | nn.Module") -> ForeignWeights:
    """RecipeError for a file that is no checkpoint and for a model that is not a plain ViT."""
    if not isinstance(source, nn.Module):
        path = Path(source)
        return ForeignWeights(name=path.stem, state=read_state(path))
    kind = type(source).__module__.split(".")[0]
    if kind == "timm":
        return _of_timm(source)
    if kind == "transformers":
        return _of_transformers(source)
    raise RecipeError(
        f"expected a checkpoint file or a model of timm or transformers, got "
        f"{type(source).__name__}; save its state_dict and name the file"
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` or `.pth` file, out of {"model": ...} and the like."""
    if not path.is_file():
        raise RecipeError(f"there is no file {path.absolute()}; expected a checkpoint")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded: object = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise RecipeError(_not_a_checkpoint(path, str(error).splitlines()[0][:200])) from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise RecipeError(_not_a_checkpoint(path, str(error)[:200])) from error
    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not any(isinstance(v, Tensor) for v in loaded.values()):
        raise RecipeError(_not_a_checkpoint(path, "it holds no named tensors"))
    tensors = {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
    # DistributedDataParallel's prefix, and that of DINO's training checkpoints.
    return {
        key.removeprefix("module.").removeprefix("backbone."): value.float()
        for key, value in tensors.items()
    }


def _not_a_checkpoint(path: Path, why: str) -> str:
    return (
        f"{path} is not a checkpoint that can be read safely: {why}; expected .safetensors, or "
        ".pth with tensors only: save its state_dict alone"
    )


def _of_timm(model: nn.Module) -> ForeignWeights:
    untyped: Any = model  # what its blocks hold is not annotated
    block, format = untyped.blocks[0], _timm_format(untyped)
    if not hasattr(block.mlp, "fc1_g"):  # a gated MLP has SiLU
        _check_gelu(block.mlp.act)
    config = vars(model).get("pretrained_cfg") or {}
    return ForeignWeights(
        name=str(config.get("architecture") or "timm_vit"),
        state=model.state_dict(),
        format=format,
        num_heads=int(block.attn.num_heads),
        norm_eps=float(block.norm1.eps),
        mean=tuple(config["mean"]) if "mean" in config else None,
        std=tuple(config["std"]) if "std" in config else None,
    )


def _timm_format(model: Any) -> str:
    from timm.layers.pos_embed_sincos import RotaryEmbeddingDinoV3
    from timm.models.beit import Beit
    from timm.models.eva import Eva
    from timm.models.vision_transformer import Block, VisionTransformer

    first: object = model.blocks[0]
    if isinstance(model, VisionTransformer) and type(first) is Block:
        return "timm"
    if isinstance(model, Beit):
        return "beit"
    if isinstance(model, Eva) and isinstance(model.rope, RotaryEmbeddingDinoV3):
        return "timm-dinov3"
    raise RecipeError(
        "expected a plain VisionTransformer, a Beit or a DINOv3 of timm, got "
        f"{type(model).__name__}"
    )


def _of_transformers(model: nn.Module) -> ForeignWeights:
    config = vars(model)["config"]
    config = vars(config).get("vision_config") or config  # CLIP's, which has one for text too
    # With a gate, DINOv3 takes this activation; DINOv2 has SiLU there, whatever it says.
    expected = "silu" if vars(config).get("use_gated_mlp") else "gelu"
    quick = config.model_type == "clip_vision_model" and config.hidden_act == "quick_gelu"
    if config.hidden_act != expected and not quick:
        raise RecipeError(
            f"only hidden_act={expected!r} is supported with this MLP, got {config.hidden_act!r}"
        )
    theta = vars(config).get("rope_theta", 100.0)
    if theta != 100.0:
        raise RecipeError(f"only DINOv3's rope_theta=100 is supported, got {theta}")
    return ForeignWeights(
        name=str(config.model_type),
        state=model.state_dict(),
        num_heads=config.num_attention_heads,
        norm_eps=config.layer_norm_eps,
        act="quick_gelu" if quick else "gelu",
    )


def _check_gelu(activation: nn.Module) -> None:
    if not isinstance(activation, nn.GELU) or activation.approximate != "none":
        raise RecipeError(f"only exact GELU is supported, got {activation}")
