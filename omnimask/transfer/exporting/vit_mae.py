"""A folder that transformers' ViTMAEModel loads: images."""

from pathlib import Path

import torch

from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.transfer.exporting.pictures import (
    Picture,
    patch_convolution,
    place_vectors,
    statistics,
)
from omnimask.transfer.exporting.requirements import ANY, check_plain
from omnimask.transfer.exporting.transformers_weights import block_weights, final_norm, sizes
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

OF = "transformers' ViTMAEModel"
_LAYERS = {
    "q": "attention.q_proj",
    "k": "attention.k_proj",
    "v": "attention.v_proj",
    "proj": "attention.o_proj",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
}
_NAMES = {
    f"{ours}.{kind}": f"{theirs}.{kind}"
    for ours, theirs in _LAYERS.items()
    for kind in ("weight", "bias")
}


def write_vit_mae(encoder: PretrainedEncoder, modality: Modality, folder: Path) -> None:
    """`config.json`, `model.safetensors` and `preprocessor_config.json`.

    The model shuffles its tokens even where it masks none (`in_order`). RecipeError for registers,
    a missing [CLS], oblong images and a width that 4 does not divide.
    """
    import transformers

    assert isinstance(modality, Picture)
    config = encoder.info.encoder
    check_plain(config, of=OF)
    if not config.class_token or config.num_registers:
        raise RecipeError(
            f"{OF} has a [CLS] token and no registers, this encoder class_token="
            f"{config.class_token} and num_registers={config.num_registers}; {ANY}, and timm too"
        )
    if modality.size[0] != modality.size[1] or modality.patch[0] != modality.patch[1]:
        raise RecipeError(
            f"{OF} takes square images of square patches, got size={modality.size} and patch="
            f"{modality.patch}; {ANY}, and timm too"
        )
    if config.width % 4:
        raise RecipeError(f"{OF} takes a width that 4 divides, got {config.width}; {ANY}")
    mean, std = statistics(modality, name=modality.name, of=OF)
    model = transformers.ViTMAEModel(
        transformers.ViTMAEConfig(
            **sizes(encoder),
            image_size=modality.size[0],
            patch_size=modality.patch[0],
            num_channels=modality.num_channels,
            mask_ratio=0.0,
        )
    )
    weight, bias = patch_convolution(encoder, modality, num_channels=modality.num_channels)
    prefix = encoder.backbone.encoder.prefix
    assert prefix is not None, "there is a [CLS] token"
    places = place_vectors(encoder, modality)
    weights = {
        "embeddings.cls_token": prefix[None],
        "embeddings.position_embeddings": torch.nn.functional.pad(places, (0, 0, 1, 0))[None],
        "embeddings.patch_embeddings.projection.weight": weight,
        "embeddings.patch_embeddings.projection.bias": bias,
        **final_norm("layernorm", encoder),
        **block_weights(encoder, _NAMES, below="layers"),
    }
    model.load_state_dict(weights)
    model.save_pretrained(folder)
    size = {"height": modality.size[0], "width": modality.size[1]}
    processor = transformers.ViTImageProcessor(size=size, image_mean=mean, image_std=std)
    processor.save_pretrained(folder)
