"""Our step with VideoMAE's parts against transformers' VideoMAE: same weights, clips and masks.

Set to ours: their position tables, which are plain tensors; and the epsilon of their decoder's
norm, which is torch's 1e-5 there and 1e-6 in VideoMAE's own code. The targets differ by an
epsilon: theirs adds 1e-6 to the deviation of pixels in [0, 1], we to that of pixels over `std`.
For the noise that is compared here this changes the targets by 3e-6 of themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from modalities.video import VideoFiles, VideoTubelets
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import RandomMask, TubeMask
from omnimask.masking.plan import Masker
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
    flattened,
    from_convolution,
    gradient_errors,
    gradients,
    randomise,
    renamed,
    without_key_bias,
)

if TYPE_CHECKING:
    from transformers import VideoMAEForPreTraining

TUBELET = (2, 16, 16)
VECTOR, DECODER_VECTOR = (
    "backbone.places.modalities.video",
    "decoders.main.places.modalities.video",
)
PROJECT_BIAS = "decoders.main.project.bias"
EXTRAS = (VECTOR, DECODER_VECTOR, PROJECT_BIAS)


def block(ours: str, theirs: str) -> dict[str, Origin]:
    attention = f"{theirs}.attention.attention"
    query, key, value = (f"{attention}.{name}" for name in ("query", "key", "value"))
    names = {
        f"{ours}.norm1": f"{theirs}.layernorm_before",
        f"{ours}.attn.proj": f"{theirs}.attention.output.dense",
        f"{ours}.norm2": f"{theirs}.layernorm_after",
        f"{ours}.mlp.fc1": f"{theirs}.intermediate.dense",
        f"{ours}.mlp.fc2": f"{theirs}.output.dense",
    }
    return renamed(names) | {
        f"{ours}.attn.qkv.weight": Origin(names=tuple(f"{x}.weight" for x in (query, key, value))),
        f"{ours}.attn.qkv.bias": Origin(
            names=(f"{query}.bias", f"{value}.bias"), convert=without_key_bias
        ),
    }


def key_map() -> dict[str, Origin]:
    names = {
        "backbone.encoder.norm": "videomae.layernorm",
        "decoders.main.norm": "decoder.norm",
        "heads.pixels": "decoder.head",
    }
    embedding = "backbone.contents.embeddings.video"
    projection = "videomae.embeddings.patch_embeddings.projection"
    result = renamed(names) | {
        f"{embedding}.weight": Origin(names=(f"{projection}.weight",), convert=from_convolution),
        f"{embedding}.bias": Origin(names=(f"{projection}.bias",)),
        "decoders.main.project.weight": Origin(names=("encoder_to_decoder.weight",)),
        "decoders.main.mask_token": Origin(names=("mask_token",), convert=flattened),
    }
    for layer in range(DEPTH):
        result |= block(f"backbone.encoder.blocks.{layer}", f"videomae.encoder.layer.{layer}")
    for layer in range(DECODER_DEPTH):
        result |= block(f"decoders.main.blocks.{layer}", f"decoder.decoder_layers.{layer}")
    return result


def our_model(num_frames: int, size: tuple[int, int], *, masker: Masker) -> MaskedModel:
    method = Method(
        masker=masker,
        decoder=SelfAttentionDecoder(
            width=DECODER_WIDTH, depth=DECODER_DEPTH, num_heads=DECODER_NUM_HEADS
        ),
        target=Content(norm="channel", num_channels=3),
        loss=mse,
    )
    modality = VideoTubelets(num_frames=num_frames, size=size, tubelet=TUBELET, mean=MEAN, std=STD)
    return build_model(recipe_of(modality, VideoFiles(), method))


def their_model(num_frames: int, size: tuple[int, int]) -> VideoMAEForPreTraining:
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    config = VideoMAEConfig(
        image_size=size,
        patch_size=TUBELET[1],
        num_frames=num_frames,
        tubelet_size=TUBELET[0],
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=NUM_HEADS,
        intermediate_size=4 * WIDTH,
        decoder_hidden_size=DECODER_WIDTH,
        decoder_num_hidden_layers=DECODER_DEPTH,
        decoder_num_attention_heads=DECODER_NUM_HEADS,
        decoder_intermediate_size=4 * DECODER_WIDTH,
        layer_norm_eps=1e-6,  # as in VideoMAE's code; its default is 1e-12
        use_mean_pooling=False,  # or the encoder has no norm at its end
        attn_implementation="eager",  # pyright: ignore[reportCallIssue] its base class has it
    )
    model = VideoMAEForPreTraining(config)
    model.decoder.norm.eps = 1e-6
    return model


class Projected:
    """Keeps the output of their projection into the decoder, for its gradient."""

    def __init__(self, theirs: VideoMAEForPreTraining) -> None:
        self.output = torch.empty(0)
        theirs.encoder_to_decoder.register_forward_hook(self)

    def __call__(self, _module: object, _inputs: object, output: Tensor) -> None:
        output.retain_grad()
        self.output = output

    def gradient(self) -> Tensor:
        """Summed over the visible tokens."""
        assert self.output.grad is not None
        return self.output.grad.sum(dim=(0, 1))


def expected_extras(theirs: VideoMAEForPreTraining, projected: Projected) -> dict[str, Tensor]:
    """A vector that is added to all visible tokens has the sum of their gradients, which is that of
    the layer before; the decoder's is added to the mask tokens too.
    """
    of_theirs, visible = gradients(theirs), projected.gradient()
    return {
        VECTOR: of_theirs["videomae.embeddings.patch_embeddings.projection.bias"],
        PROJECT_BIAS: visible,
        DECODER_VECTOR: visible + of_theirs["mask_token"].flatten(),
    }


def take_both_steps(
    ours: MaskedModel, theirs: VideoMAEForPreTraining, frames: Tensor, *, seed: int
) -> tuple[Tensor, Tensor]:
    """Both losses; gradients are in the models."""
    batch = batch_of(ours.recipe.modalities[0], "frames", frames, seed=seed)
    view, plan = look(ours, batch)
    theirs.videomae.embeddings.position_embeddings = place_table(
        ours, view, owner="backbone", dim=WIDTH
    )[None]
    theirs.position_embeddings = place_table(ours, view, owner="decoders.main", dim=DECODER_WIDTH)[
        None
    ]
    our_loss = loss_of(ours, batch)
    hidden = hidden_tokens(view, plan)
    their_loss = theirs(normalised(frames), bool_masked_pos=hidden).loss
    our_loss.backward()
    their_loss.backward()
    return our_loss, their_loss


@pytest.mark.parametrize(
    ("num_frames", "size", "masker", "seed"),
    [
        (4, (32, 32), TubeMask(ratio=0.75), 0),
        (6, (32, 48), TubeMask(ratio=0.6), 1),
        (2, (48, 32), RandomMask(ratio=0.5), 2),
    ],
)
def test_loss_and_every_gradient_are_those_of_videomae(
    num_frames: int, size: tuple[int, int], masker: Masker, seed: int
):
    ours = our_model(num_frames, size, masker=masker)
    theirs = their_model(num_frames, size)
    projected = Projected(theirs)
    randomise(ours, seed=seed)
    randomise(theirs, seed=seed + 100)
    copy_weights(ours, theirs, key_map(), extras=EXTRAS)
    with torch.no_grad():
        ours.get_parameter(PROJECT_BIAS).zero_()
    frames = random_pixels(3, num_frames, 3, *size, seed=seed)
    our_loss, their_loss = take_both_steps(ours, theirs, frames, seed=seed)
    torch.testing.assert_close(our_loss, their_loss, rtol=TOLERANCE, atol=0)
    extras = expected_extras(theirs, projected)
    errors = gradient_errors(ours, theirs, key_map(), extras=extras)
    assert max(errors.values()) < TOLERANCE, errors


def test_the_bias_of_the_keys_that_they_leave_out_learns_nothing():
    """It adds the same number to all scores of a query."""
    ours = our_model(4, (32, 32), masker=TubeMask(ratio=0.5))
    randomise(ours, seed=0)
    batch = batch_of(
        ours.recipe.modalities[0], "frames", random_pixels(3, 4, 3, 32, 32, seed=0), seed=0
    )
    loss_of(ours, batch).backward()
    for name, gradient in gradients(ours).items():
        if name.endswith("qkv.bias"):
            query, key, value = gradient.abs().chunk(3)
            assert key.max() < 1e-6 < min(query.max(), value.max()), name
