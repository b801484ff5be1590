"""Our step with MAE's parts against transformers' ViTMAE: same weights, images and masks.

Two things of theirs are set to ours. Their position tables are parameters, so ours are written
into them. Their model refuses oblong images unless it may interpolate its table, so that for these
its interpolation is replaced by ours (nothing is interpolated).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from modalities.image import ImageFiles, ImagePatches
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import Copies, RandomMask
from omnimask.objectives.objective import mse
from omnimask.objectives.targets import Content
from omnimask.training.step import MaskedModel, build_model
from tests.parity.step import (
    DECODER_DEPTH,
    DECODER_NUM_HEADS,
    DECODER_WIDTH,
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
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

PATCH = 4
TABLES = ("vit.embeddings.position_embeddings", "decoder.decoder_pos_embed")
# They have no modality vectors; ours are the same for all places, so they go into their tables.
EXTRAS = ("backbone.places.modalities.image", "decoders.main.places.modalities.image")


def key_map() -> dict[str, Origin]:
    names = {
        "backbone.encoder.norm": "vit.layernorm",
        "decoders.main.project": "decoder.decoder_embed",
        "decoders.main.norm": "decoder.decoder_norm",
        "heads.pixels": "decoder.decoder_pred",
    }
    embedding, projection = "backbone.contents.embeddings.image", "vit.embeddings.patch_embeddings"
    result = renamed(names) | {
        f"{embedding}.weight": Origin(
            names=(f"{projection}.projection.weight",), convert=from_convolution
        ),
        f"{embedding}.bias": Origin(names=(f"{projection}.projection.bias",)),
        "backbone.encoder.prefix": Origin(names=("vit.embeddings.cls_token",), convert=first_row),
        "decoders.main.mask_token": Origin(names=("decoder.mask_token",), convert=flattened),
    }
    for layer in range(DEPTH):
        result |= vit_block(f"backbone.encoder.blocks.{layer}", f"vit.layers.{layer}")
    for layer in range(DECODER_DEPTH):
        result |= vit_block(f"decoders.main.blocks.{layer}", f"decoder.decoder_layers.{layer}")
    return result


def config_of(size: tuple[int, int], *, norm_pix_loss: bool, ratio: float) -> ViTMAEConfig:
    from transformers import ViTMAEConfig

    return ViTMAEConfig(
        image_size=size,
        patch_size=PATCH,
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=NUM_HEADS,
        intermediate_size=4 * WIDTH,
        decoder_hidden_size=DECODER_WIDTH,
        decoder_num_hidden_layers=DECODER_DEPTH,
        decoder_num_attention_heads=DECODER_NUM_HEADS,
        decoder_intermediate_size=4 * DECODER_WIDTH,
        layer_norm_eps=1e-6,  # as in MAE's code; transformers' default is 1e-12
        norm_pix_loss=norm_pix_loss,
        mask_ratio=ratio,
        attn_implementation="eager",  # pyright: ignore[reportCallIssue] its base class has it
    )


def our_model(
    size: tuple[int, int], *, norm_pix_loss: bool, ratio: float, copies: int
) -> MaskedModel:
    method = Method(
        masker=Copies(masker=RandomMask(ratio=ratio), copies=copies),
        decoder=SelfAttentionDecoder(
            width=DECODER_WIDTH, depth=DECODER_DEPTH, num_heads=DECODER_NUM_HEADS
        ),
        target=Content(norm="token" if norm_pix_loss else "none"),
        loss=mse,
    )
    modality = ImagePatches(size=size, patch=(PATCH, PATCH), mean=MEAN, std=STD)
    return build_model(recipe_of(modality, ImageFiles(), method))


def write_tables(theirs: ViTMAEForPreTraining, tables: dict[str, Tensor]) -> None:
    """Ours for the patches, zero for [CLS]; with gradients, whose sums are our vectors'."""
    for name, table in tables.items():
        parameter = theirs.get_parameter(name)
        with torch.no_grad():
            parameter.copy_(torch.nn.functional.pad(table, (0, 0, 1, 0))[None])
        parameter.requires_grad_()


def never_interpolate(theirs: ViTMAEForPreTraining, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, decoder = theirs.vit.embeddings, theirs.decoder
    monkeypatch.setattr(encoder, "interpolate_pos_encoding", lambda *_: encoder.position_embeddings)
    monkeypatch.setattr(decoder, "interpolate_pos_encoding", lambda *_: decoder.decoder_pos_embed)


def take_both_steps(
    ours: MaskedModel, theirs: ViTMAEForPreTraining, pixels: Tensor, *, seed: int
) -> tuple[Tensor, Tensor]:
    """Both losses, after checking that both hid the same patches; gradients are in the models."""
    batch = batch_of(ours.recipe.modalities[0], "pixels", pixels, seed=seed)
    view, plan = look(ours, batch)
    write_tables(
        theirs,
        {
            TABLES[0]: place_table(ours, view, owner="backbone", dim=WIDTH),
            TABLES[1]: place_table(ours, view, owner="decoders.main", dim=DECODER_WIDTH),
        },
    )
    hidden = hidden_tokens(view, plan)
    shown = normalised(pixels).repeat_interleave(plan.copies, dim=0)
    output = theirs(shown, noise=hidden.float(), interpolate_pos_encoding=True)
    assert torch.equal(output.mask.bool(), hidden)
    our_loss = loss_of(ours, batch)
    our_loss.backward()
    output.loss.backward()
    return our_loss, output.loss


SQUARE, WIDE = (16, 16), (8, 32)


@pytest.mark.parametrize(
    ("size", "norm_pix_loss", "ratio", "copies"),
    [
        (SQUARE, True, 0.75, 1),
        (SQUARE, False, 0.75, 1),
        (WIDE, True, 0.75, 1),
        (WIDE, False, 0.5, 1),
        (SQUARE, True, 0.5, 2),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_loss_and_every_gradient_are_those_of_vitmae(
    size: tuple[int, int],
    norm_pix_loss: bool,
    ratio: float,
    copies: int,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
):
    from transformers import ViTMAEForPreTraining

    ours = our_model(size, norm_pix_loss=norm_pix_loss, ratio=ratio, copies=copies)
    theirs = ViTMAEForPreTraining(config_of(size, norm_pix_loss=norm_pix_loss, ratio=ratio))
    never_interpolate(theirs, monkeypatch)
    randomise(ours, seed=seed)
    randomise(theirs, seed=seed + 100)
    copy_weights(ours, theirs, key_map(), extras=EXTRAS, tables=TABLES)
    pixels = random_pixels(3, 3, *size, seed=seed)
    our_loss, their_loss = take_both_steps(ours, theirs, pixels, seed=seed)
    torch.testing.assert_close(our_loss, their_loss, rtol=TOLERANCE, atol=0)
    of_tables = [theirs.get_parameter(name).grad for name in TABLES]
    vectors = {
        name: grad[0, 1:].sum(dim=0)
        for name, grad in zip(EXTRAS, of_tables, strict=True)
        if grad is not None
    }
    errors = gradient_errors(ours, theirs, key_map(), extras=vectors)
    assert max(errors.values()) < TOLERANCE, errors


def test_our_position_table_is_theirs_with_the_axes_swapped():
    """MAE's code puts the columns' waves first, ours the rows'; within an axis they agree."""
    from transformers import ViTMAEForPreTraining

    theirs = ViTMAEForPreTraining(config_of(SQUARE, norm_pix_loss=True, ratio=0.75)).decoder
    theirs.initialize_weights(16)  # their constructor leaves zeros
    ours = ImagePatches(size=SQUARE, patch=(PATCH, PATCH)).position(DECODER_WIDTH)
    table = ours(torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)))
    rows, columns = table.chunk(2, dim=1)
    expected = theirs.decoder_pos_embed[0, 1:]
    torch.testing.assert_close(torch.cat([columns, rows], dim=1), expected, atol=1e-6, rtol=0)
    assert (table - expected).abs().max() > 0.5
