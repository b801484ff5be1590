"""A folder that transformers' VideoMAEModel loads: clips."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.transfer.exporting.pictures import (
    Clip,
    patch_convolution,
    place_vectors,
    statistics,
)
from omnimask.transfer.exporting.requirements import ANY, check_plain
from omnimask.transfer.exporting.transformers_weights import block_weights, final_norm, sizes
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

OF = "transformers' VideoMAEModel"
POSITIONS = "positions.safetensors"
_NUM_COLOURS = 3
_LIKE_THE_TABLE = 1e-6
_LAYERS = {
    "q": "attention.attention.query",
    "k": "attention.attention.key",
    "v": "attention.attention.value",
    "proj": "attention.output.dense",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
}
# Without the bias of the keys, which VideoMAE does not have: it adds the same number to all scores
# of a query, and the softmax takes it out again.
_NAMES = {
    f"{ours}.{kind}": f"{theirs}.{kind}"
    for ours, theirs in _LAYERS.items()
    for kind in ("weight", "bias")
    if (ours, kind) != ("k", "bias")
}


def write_video_mae(encoder: PretrainedEncoder, modality: Modality, folder: Path) -> None:
    """`config.json`, `model.safetensors` and `preprocessor_config.json`.

    VideoMAE computes its positions and never loads them. Where ours differ from its by more than
    one vector for all places, `positions.safetensors` has ours, to be set after loading.
    RecipeError for [CLS] and registers.
    """
    import transformers

    assert isinstance(modality, Clip)
    config = encoder.info.encoder
    check_plain(config, of=OF)
    if config.num_prefix:
        raise RecipeError(
            f"{OF} has neither [CLS] nor registers, and every token of this encoder attends to "
            f"its {config.num_prefix}; pretrain with encoder.class_token=False and "
            f"encoder.num_registers=0 for it. Otherwise {ANY}"
        )
    mean, std = statistics(modality, name=modality.name, of=OF)
    model = transformers.VideoMAEModel(
        transformers.VideoMAEConfig(
            **sizes(encoder),
            image_size=list(modality.size),
            patch_size=list(modality.tubelet[1:]),
            num_channels=_NUM_COLOURS,
            num_frames=modality.num_frames,
            tubelet_size=modality.tubelet[0],
            use_mean_pooling=False,
        )
    )
    weight, bias = patch_convolution(encoder, modality, num_channels=_NUM_COLOURS)
    # The part of the places that is alike everywhere can be a bias; the rest has to be the table.
    beyond = place_vectors(encoder, modality) - model.embeddings.position_embeddings[0]
    shared = beyond.mean(dim=0)
    if (beyond - shared).abs().max() > _LIKE_THE_TABLE:
        positions = place_vectors(encoder, modality)[None].contiguous()
        save_file({"positions": positions}, folder / POSITIONS)
        shared = torch.zeros_like(shared)
    weights = {
        "embeddings.patch_embeddings.projection.weight": weight,
        "embeddings.patch_embeddings.projection.bias": bias + shared,
        **final_norm("layernorm", encoder),
        **block_weights(encoder, _NAMES, below="encoder.layer"),
    }
    model.load_state_dict(weights)
    model.save_pretrained(folder)
    processor = transformers.VideoMAEImageProcessor(
        size={"shortest_edge": min(modality.size)},
        crop_size={"height": modality.size[0], "width": modality.size[1]},
        image_mean=mean,
        image_std=std,
    )
    processor.save_pretrained(folder)
