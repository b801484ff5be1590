"""MultiMAE: colour, depth and class maps of one scene share a small budget of visible patches.

Multi-modal Multi-task Masked Autoencoders, https://arxiv.org/abs/2204.01678; official code
EPFL-VILAB/MultiMAE. One encoder sees 98 patches of a scene, split over its maps by random shares,
sometimes nearly all from one of them; a small decoder for each map, with one look at everything
that was encoded, predicts the map's hidden patches.

As in the official settings, colour is predicted twice, plainly and normalised per patch, each with
a decoder of its own, depth is standardised per image over the values between its lowest and highest
tenth, and class ids are read at every fourth pixel and embedded in 64 numbers.

Deviations: losses are means over all tokens of a step; the official ones are means per sample, then
over the samples that have some. Shares are rounded so that none is lost (Sainte-Laguë); official
ones are rounded, and what is over or short is settled by an unstable sort. Our encoder ends in a
norm and adds a vector per modality, the official one has neither. [CLS] stands first, there last,
and position tables are those of recipes/mae.py. Queries, keys and values are initialised as one
matrix, there each by itself. Class ids are scaled in one step, there in two; depth is resized with
antialiasing, there as Pillow does it for the file's mode. Decoders run in the run's precision, the
official one of class maps always in fp32. The warm-up starts from 0, there from 1e-6.
"""

import sys

from modalities.image import (
    ClassMap,
    ImageFiles,
    ImagePatches,
    LabelFiles,
    LabelPatches,
    class_map_cross_entropy,
)
from omnimask.commands.main import main
from omnimask.decoders import SpanDecoder
from omnimask.masking import JointBudget
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, l1, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.tokens.modality import Files
from recipes import small
from recipes.published import IMAGENET_1K, IMAGENET_MEAN, IMAGENET_STD, steps_of
from recipes.small import Parts, debug_size

MODALITIES = ("maps",)  # the stream of colour, depth and class maps, which belong together
_BATCH = 2048  # PRETRAINING.md and the configuration: 8 GPUs of 256


def parts(modality: str = "maps", *, num_visible: int = 32, width: int = 64) -> Parts:
    """MultiMAE's budget, targets and decoders; 32 is a sixth of 3 * 64 tokens, as published."""
    assert modality in MODALITIES

    def decoder(name: str) -> SpanDecoder:
        return SpanDecoder(modality=name, width=width, depth=2, num_heads=width // 32)

    return Parts(
        masker=JointBudget(num_visible=num_visible, alphas=1.0),
        objectives=(
            Objective(name="rgb_pixels", modality="rgb", target=Content(), loss=mse, decoder="rgb"),
            Objective(
                name="rgb_normalised",
                modality="rgb",
                target=Content(norm="token"),
                loss=mse,
                decoder="rgb_normalised",
            ),
            Objective(
                name="depth_pixels", modality="depth", target=Content(), loss=l1, decoder="depth"
            ),
            Objective(
                name="semantic_classes",
                modality="semantic",
                target=ClassMap(),
                loss=class_map_cross_entropy,
                decoder="semantic",
            ),
        ),
        decoders={
            "rgb": decoder("rgb"),
            "rgb_normalised": decoder("rgb"),
            "depth": decoder("depth"),
            "semantic": decoder("semantic"),
        },
    )


def _files(
    folder: str, *, semantic: str = "semantic", crop_scale: tuple[float, float] = (0.2, 1.0)
) -> dict[str, Files]:
    """The three maps of a folder, cut and mirrored alike; the crops are those of datasets.py."""
    return {
        "rgb": ImageFiles(path=f"{folder}/rgb", crop_scale=crop_scale),
        "depth": ImageFiles(path=f"{folder}/depth", crop_scale=crop_scale),
        "semantic": LabelFiles(path=f"{folder}/{semantic}", crop_scale=crop_scale),
    }


def cpu(modality: str = "maps") -> Recipe:
    """MultiMAE on the sample scenes of 64 x 64 pixels, in minutes on two CPU cores.

    Modalities: maps (rgb, depth and semantic of one scene)
    Paper: https://arxiv.org/abs/2204.01678; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    method = parts(modality)
    size, patch = (64, 64), (8, 8)
    stream = Stream(
        name="maps",
        files=_files("maps/train", crop_scale=(0.6, 1.0)),
        held_out=_files("maps/held_out"),
        batch_size=16,
    )
    return Recipe(
        name=f"multimae-cpu-{modality}",
        modalities=(
            ImagePatches(name="rgb", size=size, patch=patch),
            ImagePatches(name="depth", size=size, patch=patch, num_channels=1, standardise="each"),
            LabelPatches(size=size, patch=patch, stride=2, num_classes=10, class_dim=16),
        ),
        masker=method.masker,
        encoder=small.ENCODER,
        decoders=method.decoders,
        objectives=method.objectives,
        data=Data(root=small.ROOT, streams=(stream,)),
        optim=Optim(steps=600, lr=1e-3, warmup_steps=60),
        run=Run(num_workers=1, checkpoint_every=200),
    )


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: maps
    Paper: https://arxiv.org/abs/2204.01678
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _imagenet() -> Data:
    """ImageNet-1k with pseudo labels as SETUP.md of the official code lays them out.

    `train/{rgb,depth,semseg}/<class>/<name>` and `val/...`: depth as 16-bit PNG (convert JPX),
    class maps as PNG of one channel with COCO's 133 panoptic classes counted from 0.
    """
    stream = Stream(
        name="maps",
        files=_files("train", semantic="semseg"),
        held_out=_files("val", semantic="semseg"),
        batch_size=256,
    )
    return Data(root="data/imagenet-multimae", streams=(stream,), max_bad_files=100)


def base() -> Recipe:
    """MultiMAE ViT-B/16 on ImageNet-1k with pseudo labels of depth and classes, for 8 GPUs.

    Numbers are those of cfgs/pretrain/multimae-b_98_rgb+-depth-semseg_1600e.yaml and, where it says
    nothing, the defaults of run_pretraining_multimae.py.
    Cost: one node with 8 A100 (PRETRAINING.md); the time is not stated there.
    Result: 83.3 % fine-tuned on ImageNet-1k from colour alone (the official README).
    Command: accelerate launch -m omnimask pretrain recipes.multimae:base --set data.root=...

    Modalities: rgb, depth, semantic
    Paper: https://arxiv.org/abs/2204.01678; settings of the official configuration
    Status: not trained at this size here
    """
    method = parts(num_visible=98, width=256)  # alphas 1, decoders of 2 blocks, 8 heads
    return Recipe(
        name="multimae-base",
        modalities=(
            ImagePatches(name="rgb", mean=IMAGENET_MEAN, std=IMAGENET_STD),
            ImagePatches(name="depth", num_channels=1, standardise="each"),
            LabelPatches(num_classes=133),  # stride 4, vectors of 64
        ),
        masker=method.masker,
        encoder=vit("base"),
        decoders=method.decoders,
        objectives=method.objectives,
        data=_imagenet(),
        optim=Optim(
            steps=steps_of(epochs=1600, samples=IMAGENET_1K, batch=_BATCH),
            lr=1e-4 * _BATCH / 256,
            final_lr=0.0,
            warmup_steps=steps_of(epochs=40, samples=IMAGENET_1K, batch=_BATCH),
            weight_decay=0.05,
            betas=(0.9, 0.95),
            clip_norm=None,
            accumulate=8,
        ),
        run=Run(num_workers=10, checkpoint_every=5_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.multimae:cpu", *sys.argv[1:]]))
