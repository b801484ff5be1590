"""V-JEPA's whole step against thirty plain lines: same weights, clips and masks.

The plain step follows the official code (facebookresearch/jepa, app/vjepa/train.py): the teacher
sees every tubelet, its normalised output is layer-normed without weights; the student sees what a
mask leaves, and a narrow transformer that gets its output and mask tokens says the rest; L1. As
recipes/vjepa.py has it, the loss is a mean over the hidden tokens of both masks, and a prefix token
goes along.
"""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from modalities.video import VideoTubelets
from omnimask.training.step import MaskedModel, build_model
from recipes.vjepa import debug
from tests.parity.step import MEAN, STD, batch_of, normalised, place_table, random_pixels
from tests.parity.weights import TOLERANCE, randomise

CLIP = VideoTubelets(num_frames=4, size=(16, 24), tubelet=(2, 4, 4), mean=MEAN, std=STD)
Weights = Mapping[str, Tensor]


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)


def transformer(weights: Weights, name: str, x: Tensor, *, depth: int, heads: int) -> Tensor:
    """Blocks and norm on one row (n d)."""
    for block in (f"{name}.blocks.{i}" for i in range(depth)):
        qkv = linear(weights, f"{block}.attn.qkv", norm(weights, f"{block}.norm1", x))
        q, k, v = rearrange(qkv, "n (three h c) -> three h n c", three=3, h=heads)
        attention = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)
        x = x + linear(weights, f"{block}.attn.proj", rearrange(attention @ v, "h n c -> n (h c)"))
        inner = F.gelu(linear(weights, f"{block}.mlp.fc1", norm(weights, f"{block}.norm2", x)))
        x = x + linear(weights, f"{block}.mlp.fc2", inner)
    return norm(weights, f"{name}.norm", x)


def encode(weights: Weights, name: str, tubelets: Tensor, table: Tensor, ids: Tensor) -> Tensor:
    """The prefix token and the tokens `ids` of one clip."""
    x = linear(weights, f"{name}.contents.embeddings.video", tubelets[ids])
    x = torch.cat([weights[f"{name}.encoder.prefix"], x + table[ids]])
    return transformer(weights, f"{name}.encoder", x, depth=4, heads=4)


def plain_errors(
    weights: Weights, clip: Tensor, visible: Tensor, tables: Mapping[str, Tensor]
) -> Tensor:
    """(hidden tokens): the mean absolute error of each, of one clip under one mask."""
    tubelets = rearrange(clip, "(t a) c (h b) (w d) -> (t h w) (a b d c)", a=2, b=4, d=4)
    every = torch.arange(len(tubelets))
    hidden = every[~torch.isin(every, visible)]
    with torch.no_grad():
        taught = encode(weights, "teacher.backbone", tubelets, tables["teacher.backbone"], every)
        truth = F.layer_norm(taught[1:], taught.shape[-1:])[hidden]
    seen = encode(weights, "backbone", tubelets, tables["backbone"], visible)
    main, table = "decoders.main", tables["decoders.main"]
    shown = linear(weights, f"{main}.project", seen)
    shown = torch.cat([shown[:1], shown[1:] + table[visible]])
    asked = weights[f"{main}.mask_token"] + table[hidden]
    said = transformer(weights, main, torch.cat([shown, asked]), depth=2, heads=4)[len(shown) :]
    return (linear(weights, "heads.video_features", said) - truth).abs().mean(dim=1)


def build() -> MaskedModel:
    model = build_model(replace(debug(), modalities=(CLIP,)))
    randomise(model, seed=1)  # the teacher's weights too, which else are the student's
    return model


def test_the_loss_and_every_gradient_are_those_of_the_plain_step():
    ours, clips = build(), random_pixels(3, 4, 3, 16, 24, seed=0)
    batch = batch_of(CLIP, "frames", clips, seed=0)
    (view,) = ours.views([batch])
    (sums,) = ours([batch]).sums.values()
    weights = ours.state_dict(keep_vars=True)
    names = ("backbone", "teacher.backbone", "decoders.main")
    widths = {"backbone": 128, "teacher.backbone": 128, "decoders.main": 64}
    tables = {name: place_table(ours, view, owner=name, dim=widths[name]) for name in names}
    errors = []
    for plan in ours.masks(view, 0.0):
        for row, count in enumerate(plan.num_visible):
            clip, visible = normalised(clips[row // plan.copies]), plan.visible_ids[row, :count]
            errors.append(plain_errors(weights, clip, visible, tables))
    assert len(errors) == 6, "two masks of three clips"
    expected = torch.cat(errors)
    assert sums.count == len(expected)
    loss = sums.total / sums.count
    assert loss.item() == pytest.approx(expected.mean().item(), rel=TOLERANCE)

    learned = {name: value for name, value in ours.named_parameters() if value.requires_grad}
    assert not any(name.startswith("teacher") for name in learned)
    # A modality's vector is in the tables, which are constants of the plain step.
    learned = {name: value for name, value in learned.items() if ".places." not in name}
    of_ours, of_plain = (
        torch.autograd.grad(each, list(learned.values())) for each in (loss, expected.mean())
    )
    for name, got, wanted in zip(learned, of_ours, of_plain, strict=True):
        assert (got - wanted).abs().max() <= TOLERANCE * wanted.abs().max(), name
