"""What is particular to CRATE-MAE: its blocks, mask tokens in the encoder, few weights."""

from pathlib import Path

from omnimask.network.crate import CodingBlock, DecodingBlock
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes import mae
from recipes.cratemae import base, small_size
from tests.recipes.catalogue import load


def test_the_encoder_codes_and_the_decoder_decodes(few_files: Path):
    model = build_model(fit(load("recipes.cratemae:debug", few_files)))
    assert all(isinstance(block, CodingBlock) for block in model.backbone.encoder.blocks)
    decoder = model.decoders["main"]
    assert all(isinstance(block, DecodingBlock) for block in decoder.blocks)
    assert model.backbone.mask_token is not None
    assert not any("mask_token" in name for name in decoder.state_dict())


def test_published_sizes():
    assert (base().encoder.width, small_size().encoder.width) == (768, 576)
    assert base().decoders["main"].depth == base().encoder.depth == 12
    assert base().masker == mae.base().masker
