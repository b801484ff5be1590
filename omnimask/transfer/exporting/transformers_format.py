"""Folders for `from_pretrained` of transformers: ViTMAEModel and VideoMAEModel."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.transfer.exporting.features import Features, RealSamples
from omnimask.transfer.exporting.pictures import Clip, Picture, normalise, pixels_in
from omnimask.transfer.exporting.requirements import ANY
from omnimask.transfer.exporting.video_mae import POSITIONS, write_video_mae
from omnimask.transfer.exporting.vit_mae import write_vit_mae
from omnimask.transfer.pretrained_encoder import PretrainedEncoder


def write_transformers(encoder: PretrainedEncoder, samples: RealSamples, folder: Path) -> None:
    """`config.json`, `model.safetensors` and `preprocessor_config.json`; for a clip, whose
    positions VideoMAE computes instead of loading them, `positions.safetensors` where ours differ.

    RecipeError for what the model cannot hold.
    """
    modality = samples.modality
    if not isinstance(modality, Picture | Clip):
        raise RecipeError(
            "transformers' ViTMAEModel takes images and its VideoMAEModel clips, but "
            f"{modality.name!r} is a {type(modality).__name__}; {ANY}"
        )
    with _no_bars():
        if isinstance(modality, Picture):
            write_vit_mae(encoder, modality, folder)
        else:
            write_video_mae(encoder, modality, folder)


@torch.no_grad()
def run_transformers(
    encoder: PretrainedEncoder, samples: RealSamples, folder: Path
) -> list[Features]:
    """As transformers loads the folder, on pixels normalised by the mean and std in it."""
    import transformers

    modality = samples.modality
    if isinstance(modality, Picture):
        with _no_bars():
            model = transformers.ViTMAEModel.from_pretrained(folder).eval()
        processor = transformers.ViTImageProcessor.from_pretrained(folder)
        order = {"noise": in_order(len(samples), modality.num_tokens)}
    else:
        with _no_bars():
            model = transformers.VideoMAEModel.from_pretrained(folder).eval()
        processor = transformers.VideoMAEImageProcessor.from_pretrained(folder)
        order = {}
        if (folder / POSITIONS).exists():
            model.embeddings.position_embeddings = load_file(folder / POSITIONS)["positions"]
    pixels = pixels_in(modality, samples.raw)
    pixels = normalise(pixels, processor.image_mean, processor.image_std)
    hidden = model(pixel_values=pixels, **order).last_hidden_state
    tokens = hidden[:, encoder.info.encoder.num_prefix :]
    features = {"pooled": tokens.mean(dim=1), "tokens": tokens}
    if encoder.info.encoder.class_token:
        features["class_token"] = hidden[:, 0]
    return [features]


def in_order(num_samples: int, num_tokens: int) -> Tensor:
    """The `noise` by which ViTMAEModel, which shuffles even what it does not mask, keeps order."""
    return torch.arange(num_tokens).float().expand(num_samples, -1)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without the bars that transformers draws for a single file."""
    from transformers.utils import logging

    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()
