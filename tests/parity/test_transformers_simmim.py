"""Our step with SimMIM's parts against transformers' ViTForMaskedImageModeling.

Its position table, learned there, gets our values; it has one for [CLS] too, which stays zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from einops import rearrange
from torch import Tensor

from modalities.image import ImageFiles, ImagePatches
from omnimask.decoders import NoDecoder
from omnimask.masking import RandomMask
from omnimask.objectives.objective import l1
from omnimask.objectives.targets import Content
from omnimask.training.step import MaskedModel, build_model
from tests.parity.step import (
    DEPTH,
    MEAN,
    NUM_HEADS,
    STD,
    WIDTH,
    Method,
    batch_of,
    hidden_tokens,
    look,
    loss_of,
    normalised,
    place_table,
    random_pixels,
    recipe_of,
)
from tests.parity.weights import (
    TOLERANCE,
    Origin,
    copy_weights,
    first_row,
    flattened,
    from_convolution,
    gradient_errors,
    randomise,
    renamed,
    vit_block,
)

if TYPE_CHECKING:
    from transformers import ViTForMaskedImageModeling

PATCH = 4
TABLE = "vit.embeddings.position_embeddings"
# They have no modality vector; ours is the same for all places, so it goes into their table.
EXTRA = "backbone.places.modalities.image"


def channels_fastest(head: Tensor) -> Tensor:
    """Before their PixelShuffle the outputs are (channel, row, column); ours have channels last."""
    moved = rearrange(head, "(c i j) ... -> (i j c) ...", i=PATCH, j=PATCH)
    return moved.flatten(1) if moved.dim() > 1 else moved


def key_map() -> dict[str, Origin]:
    embedding, theirs = "backbone.contents.embeddings.image", "vit.embeddings"
    projection = f"{theirs}.patch_embeddings.projection"
    result = renamed({"backbone.encoder.norm": "vit.layernorm"}) | {
        f"{embedding}.weight": Origin(names=(f"{projection}.weight",), convert=from_convolution),
        f"{embedding}.bias": Origin(names=(f"{projection}.bias",)),
        "backbone.encoder.prefix": Origin(names=(f"{theirs}.cls_token",), convert=first_row),
        "backbone.mask_token": Origin(names=(f"{theirs}.mask_token",), convert=flattened),
        "heads.pixels.weight": Origin(names=("decoder.0.weight",), convert=channels_fastest),
        "heads.pixels.bias": Origin(names=("decoder.0.bias",), convert=channels_fastest),
    }
    for layer in range(DEPTH):
        result |= vit_block(f"backbone.encoder.blocks.{layer}", f"vit.layers.{layer}")
    return result


def our_model(size: int, *, ratio: float) -> MaskedModel:
    method = Method(masker=RandomMask(ratio=ratio), decoder=NoDecoder(), target=Content(), loss=l1)
    modality = ImagePatches(size=(size, size), patch=(PATCH, PATCH), mean=MEAN, std=STD)
    return build_model(recipe_of(modality, ImageFiles(), method))


def their_model(size: int) -> ViTForMaskedImageModeling:
    from transformers import ViTConfig, ViTForMaskedImageModeling

    config = ViTConfig(
        image_size=size,
        patch_size=PATCH,
        encoder_stride=PATCH,
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=NUM_HEADS,
        intermediate_size=4 * WIDTH,
        layer_norm_eps=1e-6,  # their default is 1e-12
        attn_implementation="eager",  # pyright: ignore[reportCallIssue] its base class has it
    )
    return ViTForMaskedImageModeling(config)


@pytest.mark.parametrize(("size", "ratio", "seed"), [(16, 0.6, 0), (24, 0.5, 1)])
def test_loss_and_every_gradient_are_those_of_vit_for_masked_images(
    size: int, ratio: float, seed: int
):
    ours, theirs = our_model(size, ratio=ratio), their_model(size)
    randomise(ours, seed=seed)
    randomise(theirs, seed=seed + 100)
    copy_weights(ours, theirs, key_map(), extras=(EXTRA,), tables=(TABLE,))
    pixels = random_pixels(3, 3, size, size, seed=seed)
    batch = batch_of(ours.recipe.modalities[0], "pixels", pixels, seed=seed)
    view, plan = look(ours, batch)
    table = place_table(ours, view, owner="backbone", dim=WIDTH)
    with torch.no_grad():
        theirs.get_parameter(TABLE).copy_(torch.nn.functional.pad(table, (0, 0, 1, 0))[None])
    hidden = hidden_tokens(view, plan)
    their_loss = theirs(normalised(pixels), bool_masked_pos=hidden).loss
    # They divide by 1e-5 plus the number of hidden pixels, we by the number itself.
    num_hidden_pixels = int(hidden.sum()) * PATCH**2
    our_loss = loss_of(ours, batch) * num_hidden_pixels / (num_hidden_pixels + 1e-5)
    our_loss.backward()
    their_loss.backward()
    torch.testing.assert_close(our_loss, their_loss, rtol=TOLERANCE, atol=0)
    of_table = theirs.get_parameter(TABLE).grad
    assert of_table is not None
    vector = {EXTRA: of_table[0, 1:].sum(dim=0)}
    errors = gradient_errors(ours, theirs, key_map(), extras=vector)
    assert max(errors.values()) < TOLERANCE, errors
