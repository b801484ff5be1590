"""Mask3D: colour and depth of a view are both masked, and only the depth is predicted.

Mask3D: Pre-training 2D Vision Transformers by Learning Masked 3D Priors,
https://arxiv.org/abs/2302.14746. Both maps of one view are hidden for the most part, each by a mask
of its own, so that depth has to be inferred from colour; the encoder is afterwards used on colour
alone.

Known from the abstract and a secondary source: the ratios (0.8 of both here), the decoder, the loss
(l2 here), whether all depth patches count or the hidden ones (as here), the schedule and the batch
are to be checked with the paper. The published encoder begins from ImageNet's weights (`start` in a
recipe), on ScanNet's views.

Deviations: those of recipes/multimae.py in how depth is read and standardised; the sample scenes
stand for ScanNet's frames.
"""

import sys
from dataclasses import replace

from modalities.image import ImageFiles, ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import SpanDecoder
from omnimask.masking import PerModality, RandomMask
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.tokens.modality import Files
from recipes import small
from recipes.published import IMAGENET_MEAN, IMAGENET_STD
from recipes.small import Parts, debug_size

MODALITIES = ("maps",)  # the stream of colour and depth, which belong together
HIDING = RandomMask(ratio=0.8)


def parts(modality: str = "maps", *, width: int = 64) -> Parts:
    """Two masks, one target."""
    assert modality in MODALITIES
    decoder = SpanDecoder(modality="depth", width=width, depth=2, num_heads=width // 32)
    return Parts(
        masker=PerModality(masks={"rgb": HIDING, "depth": HIDING}),
        objectives=(
            Objective(
                name="depth_pixels", modality="depth", target=Content(), loss=mse, decoder="depth"
            ),
        ),
        decoders={"depth": decoder},
    )


def _stream(*, batch_size: int, crop_scale: tuple[float, float]) -> Stream:
    """The two maps of each folder, cut and mirrored alike."""

    def maps(folder: str, scale: tuple[float, float]) -> dict[str, Files]:
        return {
            name: ImageFiles(path=f"{folder}/{name}", crop_scale=scale) for name in ("rgb", "depth")
        }

    return Stream(
        name="maps",
        files=maps("maps/train", crop_scale),
        held_out=maps("maps/held_out", (0.2, 1.0)),
        batch_size=batch_size,
    )


def cpu(modality: str = "maps") -> Recipe:
    """Mask3D on the sample scenes of 64 x 64 pixels, in minutes on two CPU cores.

    Modalities: maps (rgb and depth of one scene)
    Paper: https://arxiv.org/abs/2302.14746; sizes are ours
    Status: trains
    """
    method = parts(modality)
    size, patch = (64, 64), (8, 8)
    return Recipe(
        name=f"mask3d-cpu-{modality}",
        modalities=(
            ImagePatches(name="rgb", size=size, patch=patch),
            ImagePatches(name="depth", size=size, patch=patch, num_channels=1, standardise="each"),
        ),
        masker=method.masker,
        encoder=small.ENCODER,
        decoders=method.decoders,
        objectives=method.objectives,
        data=Data(root=small.ROOT, streams=(_stream(batch_size=16, crop_scale=(0.6, 1.0)),)),
        optim=Optim(steps=600, lr=1e-3, warmup_steps=60),
        run=Run(num_workers=1, checkpoint_every=200),
    )


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: maps
    Paper: https://arxiv.org/abs/2302.14746
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def base() -> Recipe:
    """Mask3D ViT-B/16 on pairs of colour and depth in `maps/{train,held_out}/{rgb,depth}`.

    Cost and result: see the paper. Batch, rate and number of steps are ours.
    Command: accelerate launch -m omnimask pretrain recipes.mask3d:base --set data.root=...

    Modalities: rgb, depth
    Paper: https://arxiv.org/abs/2302.14746; settings to be checked, see above
    Status: not trained at this size here
    """
    method = parts(width=256)
    return replace(
        cpu(),
        name="mask3d-base",
        modalities=(
            ImagePatches(name="rgb", mean=IMAGENET_MEAN, std=IMAGENET_STD),
            ImagePatches(name="depth", num_channels=1, standardise="each"),
        ),
        encoder=vit("base"),
        decoders=method.decoders,
        data=Data(root="data/scannet", streams=(_stream(batch_size=64, crop_scale=(0.2, 1.0)),)),
        optim=Optim(steps=100_000, lr=1e-4, warmup_steps=5_000, clip_norm=None),
        run=Run(num_workers=10, checkpoint_every=5_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.mask3d:cpu", *sys.argv[1:]]))
