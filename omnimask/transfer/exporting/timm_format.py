"""Weights and configuration for `timm.create_model("local-dir:FOLDER", pretrained=True)`."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.training.checkpoint import write_json
from omnimask.transfer.exporting.features import Features, RealSamples
from omnimask.transfer.exporting.pictures import (
    Picture,
    normalise,
    patch_convolution,
    pixels_in,
    place_vectors,
    statistics,
)
from omnimask.transfer.exporting.requirements import ANY, check_plain
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

OF = "timm's VisionTransformer"
_ARCHITECTURE = "vit_base_patch16_224"  # every size of it is then set by the model's arguments


def write_timm(encoder: PretrainedEncoder, samples: RealSamples, folder: Path) -> None:
    """`model.safetensors` and `config.json`.

    Modality vector and positions become `pos_embed`, the linear embedding a convolution. Called,
    the model returns the mean over the normalised patch tokens, as `pool` does.

    RecipeError for what timm's plain ViT cannot hold.
    """
    modality = samples.modality
    picture = as_picture(modality, of=OF)
    check_plain(encoder.info.encoder, of=OF)
    mean, std = statistics(picture, name=modality.name, of=OF)
    arguments = model_arguments(encoder, picture)
    weights = timm_weights(encoder, modality, picture)
    save_file(
        {name: v.detach().contiguous().clone() for name, v in weights.items()},
        folder / "model.safetensors",
    )
    pretrained = {
        "input_size": [picture.num_channels, *picture.size],
        "fixed_input_size": True,
        "mean": list(mean),
        "std": list(std),
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "num_classes": 0,
        "pool_size": None,
        "first_conv": "patch_embed.proj",
        "classifier": "head",
    }
    write_json(
        folder / "config.json",
        {
            "architecture": _ARCHITECTURE,
            "num_classes": 0,
            "num_features": encoder.info.encoder.width,
            "global_pool": "avg",
            "model_args": arguments,
            "pretrained_cfg": pretrained,
        },
    )


@torch.no_grad()
def run_timm(encoder: PretrainedEncoder, samples: RealSamples, folder: Path) -> list[Features]:
    """As timm loads the folder, on pixels normalised by the mean and std that it has there."""
    import timm
    from timm.data import resolve_model_data_config  # pyright: ignore[reportPrivateImportUsage]
    from timm.models.vision_transformer import VisionTransformer

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert isinstance(model, VisionTransformer)
    config = resolve_model_data_config(model)
    pixels = normalise(pixels_in(samples.modality, samples.raw), config["mean"], config["std"])
    tokens = model.forward_features(pixels)
    features = {"pooled": model(pixels), "tokens": tokens[:, model.num_prefix_tokens :]}
    if encoder.info.encoder.class_token:
        features["class_token"] = tokens[:, 0]
    return [features]


def as_picture(modality: Modality, *, of: str) -> Picture:
    """RecipeError for a modality that is no image."""
    if not isinstance(modality, Picture):
        raise RecipeError(
            f"{of} takes images, but {modality.name!r} is a {type(modality).__name__}; {ANY}"
        )
    return modality


def model_arguments(encoder: PretrainedEncoder, picture: Picture) -> dict[str, Any]:
    """Arguments of timm's VisionTransformer; plain JSON."""
    config = encoder.info.encoder
    return {
        "img_size": list(picture.size),
        "patch_size": list(picture.patch),
        "in_chans": picture.num_channels,
        "embed_dim": config.width,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "mlp_ratio": config.style.mlp_ratio,
        "init_values": config.style.layer_scale,
        "class_token": config.class_token,
        "reg_tokens": config.num_registers,
        "no_embed_class": True,
        "global_pool": "avg",
        "fc_norm": False,
    }


def timm_weights(
    encoder: PretrainedEncoder, modality: Modality, picture: Picture
) -> dict[str, Tensor]:
    """The state dict of that model."""
    config, trained = encoder.info.encoder, encoder.backbone.encoder
    weight, bias = patch_convolution(encoder, modality, num_channels=picture.num_channels)
    weights = {
        "patch_embed.proj.weight": weight,
        "patch_embed.proj.bias": bias,
        "pos_embed": place_vectors(encoder, modality)[None],
        **{f"norm.{name}": value for name, value in trained.norm.state_dict().items()},
    }
    if trained.prefix is not None:
        first = int(config.class_token)
        if config.class_token:
            weights["cls_token"] = trained.prefix[None, :1]
        if config.num_registers:
            weights["reg_token"] = trained.prefix[None, first:]
    for name, value in trained.blocks.state_dict().items():
        renamed = name.replace("scale1.gamma", "ls1.gamma").replace("scale2.gamma", "ls2.gamma")
        weights[f"blocks.{renamed}"] = value
    return weights
