"""Encoders of toy modalities with weights that hide nothing, and their real samples."""

from dataclasses import replace

import torch

from omnimask.blocks import BlockStyle
from omnimask.encoder import Encoder
from omnimask.exporting.features import RealSamples, collate_samples
from omnimask.modality import Draw, Modality, Sample
from omnimask.pretrained import EncoderInfo, PretrainedEncoder
from omnimask.recipe import Recipe
from tests.unit.toy_recipe import toy_recipe

SMALL = Encoder(width=16, depth=2, num_heads=2)
ENCODERS = {
    "plain": SMALL,
    "no prefix": replace(SMALL, class_token=False),
    "registers": replace(SMALL, num_registers=3),
    "rotary": replace(SMALL, positions="rotary"),
    "both": replace(SMALL, positions="both", num_registers=2, class_token=False),
    "qk_norm": replace(SMALL, style=BlockStyle(qk_norm=True, layer_scale=0.3)),
    "swiglu": replace(SMALL, style=BlockStyle(swiglu=True, norm="rms")),
}


def scattered(modalities: tuple[Modality, ...], encoder: Encoder) -> PretrainedEncoder:
    """Every weight is drawn, so that none is a zero or a one whose mix-up nobody would see."""
    info = EncoderInfo(name="scattered", modalities=modalities, encoder=encoder, origin={})
    built = PretrainedEncoder(info)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in built.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    return built


def read(recipe: Recipe, modality: str, *, count: int) -> list[Sample]:
    """The first held-out samples."""
    files = next(
        s.held_out[modality] for s in recipe.data.streams if modality in (s.held_out or {})
    )
    source = files.open(recipe.data.root, recipe.modality(modality))
    return [source.read(i, Draw(key=0, augment=False)) for i in range(count)]


def toy_samples(modality: str = "toy") -> RealSamples:
    """Six of them; one is short."""
    recipe = toy_recipe()
    return collate_samples(recipe.modality(modality), read(recipe, modality, count=6), "held out")
