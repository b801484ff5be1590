"""The step of BEiT, SimMIM's encoder with it, against transformers' BeitForMaskedImageModeling.

The same weights, masks and codes: mask tokens inside the encoder, one table of relative position
biases for all blocks and no absolute positions, layer scale, a head on the codes of hidden patches.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from modalities.image import ImageFiles, ImagePatches
from omnimask.decoders import NoDecoder, QuantisedDecoder
from omnimask.masking import RandomMask
from omnimask.network.blocks import BlockStyle
from omnimask.network.relative import FROM_PREFIX, NUM_COMMON, OF_PREFIX, TO_PREFIX
from omnimask.objectives.objective import Objective, cross_entropy
from omnimask.objectives.targets import Content, TeacherCodes
from omnimask.recipe.teacher import FrozenTeacher
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
)

PATCH, NUM_CODES = 4, 11
TABLE = "beit.shared_position_bias.relative_position_bias_table"
# They have no modality vector; it is zero in ours.
EXTRA = "backbone.places.modalities.image"


def our_table(theirs: Tensor) -> Tensor:
    """Theirs has the entries of [CLS] at the end; ours in front, and one of pairs that are apart,
    which no pair of one image is."""
    common = theirs.new_zeros(NUM_COMMON, NUM_HEADS)
    common[FROM_PREFIX], common[TO_PREFIX], common[OF_PREFIX] = theirs[-3:]
    return torch.cat([common, theirs[:-3]])


def with_key_bias(query: Tensor, value: Tensor) -> Tensor:
    return torch.cat([query, torch.zeros_like(query), value])


def key_map() -> dict[str, Origin]:
    embedding, theirs = "backbone.contents.embeddings.image", "beit.embeddings"
    projection = f"{theirs}.patch_embeddings.projection"
    result = renamed({"backbone.encoder.norm": "layernorm", "heads.codes": "lm_head"}) | {
        f"{embedding}.weight": Origin(names=(f"{projection}.weight",), convert=from_convolution),
        f"{embedding}.bias": Origin(names=(f"{projection}.bias",)),
        "backbone.encoder.prefix": Origin(names=(f"{theirs}.cls_token",), convert=first_row),
        "backbone.mask_token": Origin(names=(f"{theirs}.mask_token",), convert=flattened),
        "backbone.encoder.relative": Origin(names=(TABLE,), convert=our_table),
    }
    for layer in range(DEPTH):
        ours, block = f"backbone.encoder.blocks.{layer}", f"beit.layers.{layer}"
        attention = f"{block}.attention"
        result |= renamed(
            {
                f"{ours}.norm1": f"{block}.layernorm_before",
                f"{ours}.attn.proj": f"{attention}.o_proj",
                f"{ours}.norm2": f"{block}.layernorm_after",
                f"{ours}.mlp.fc1": f"{block}.mlp.fc1",
                f"{ours}.mlp.fc2": f"{block}.mlp.fc2",
            }
        )
        weights = tuple(f"{attention}.{name}_proj.weight" for name in "qkv")
        biases = (f"{attention}.q_proj.bias", f"{attention}.v_proj.bias")
        result |= {
            f"{ours}.attn.qkv.weight": Origin(names=weights),
            f"{ours}.attn.qkv.bias": Origin(names=biases, convert=with_key_bias),
            f"{ours}.scale1.gamma": Origin(names=(f"{block}.lambda_1",)),
            f"{ours}.scale2.gamma": Origin(names=(f"{block}.lambda_2",)),
        }
    return result


def our_model(size: int, *, ratio: float) -> MaskedModel:
    """With the codes of a teacher, whom the test speaks for."""
    method = Method(
        masker=RandomMask(ratio=ratio), decoder=NoDecoder(), target=Content(), loss=cross_entropy
    )
    modality = ImagePatches(size=(size, size), patch=(PATCH, PATCH), mean=MEAN, std=STD)
    recipe = recipe_of(modality, ImageFiles(), method)
    encoder = replace(
        recipe.encoder,
        positions="none",
        relative_bias="shared",
        style=BlockStyle(layer_scale=0.1, norm_eps=1e-12),
    )
    codes = Objective(
        name="codes",
        modality="image",
        target=TeacherCodes(num_codes=NUM_CODES),
        loss=cross_entropy,
    )
    codebook = QuantisedDecoder(num_codes=NUM_CODES, code_dim=4, width=8, depth=1, num_heads=2)
    teacher = FrozenTeacher(codebook=codebook)
    return build_model(replace(recipe, encoder=encoder, objectives=(codes,), teacher=teacher))


def their_model(size: int):
    from transformers import BeitConfig, BeitForMaskedImageModeling

    config = BeitConfig(
        vocab_size=NUM_CODES,
        image_size=size,
        patch_size=PATCH,
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=NUM_HEADS,
        intermediate_size=4 * WIDTH,
        use_mask_token=True,
        use_shared_relative_position_bias=True,
        layer_scale_init_value=0.1,
        drop_path_rate=0.0,
        attn_implementation="eager",  # pyright: ignore[reportCallIssue] its base class has it
    )
    return BeitForMaskedImageModeling(config)


@pytest.mark.parametrize(("size", "ratio", "seed"), [(16, 0.4, 0), (24, 0.6, 1)])
def test_loss_and_every_gradient_are_those_of_beit(size: int, ratio: float, seed: int):
    ours, theirs = our_model(size, ratio=ratio), their_model(size)
    randomise(ours, seed=seed)
    randomise(theirs, seed=seed + 100)
    teacher, ours.teacher = ours.teacher, None  # its weights are not compared
    with torch.no_grad():
        ours.get_parameter(EXTRA).zero_()
    copy_weights(ours, theirs, key_map(), extras=(EXTRA,))
    ours.teacher = teacher
    pixels = random_pixels(3, 3, size, size, seed=seed)
    batch = batch_of(ours.recipe.modalities[0], "pixels", pixels, seed=seed)
    view, plan = look(ours, batch)
    hidden = hidden_tokens(view, plan)
    codes = view.teacher["codes"][..., 0].long()
    assert len(codes.unique()) > 1
    their_loss = theirs(normalised(pixels), bool_masked_pos=hidden, labels=codes[hidden]).loss
    our_loss = loss_of(ours, batch)
    our_loss.backward()
    their_loss.backward()
    torch.testing.assert_close(our_loss, their_loss, rtol=TOLERANCE, atol=0)
    ours.teacher = None
    vector = ours.get_parameter(EXTRA).grad
    assert vector is not None
    errors = gradient_errors(ours, theirs, key_map(), extras={EXTRA: vector})
    keys = [name for name in errors if name.endswith("qkv.bias")]
    assert max(value for name, value in errors.items() if name not in keys) < 5 * TOLERANCE, errors
    for name in keys:  # ours has a bias of keys, of which the softmax knows nothing
        bias = ours.get_parameter(name).grad
        assert bias is not None
        assert bias[WIDTH : 2 * WIDTH].abs().max() < 1e-6
        assert errors[name] < 5 * TOLERANCE
