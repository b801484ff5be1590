"""ColorMAE: MAE whose masks are filtered noise, so that what is hidden has a chosen grain.

ColorMAE: Exploring data-independent masking strategies in Masked AutoEncoders,
https://arxiv.org/abs/2407.13036; official code carlosh93/ColorMAE. Patches where a piece of colour
noise is highest are shown; mid-frequency ("green") noise hides small blobs instead of single
patches, which asks for more than interpolation at no cost and without looking at the image.

Deviations beside those of recipes/mae.py (of which weight decay is not one: mmpretrain excludes the
same tokens). The official code cuts and mirrors windows out of 3072 ready-made patterns, whose
filters are not in the repository; here noise is drawn and filtered for each sample, with blurs of
our choice (omnimask/masking/noise.py). Warm-up starts near 0, there at 1e-4 of the peak. The
official config can change the colour between epochs; the published runs do not.

Works where tokens stand on a grid: on video the noise has three axes, on sound time and frequency.
"""

import sys
from dataclasses import replace

from omnimask.commands.main import main
from omnimask.masking import NoiseMask
from omnimask.recipe.recipe import Recipe
from recipes import mae, small
from recipes.published import IMAGENET_1K, steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.GRIDS


def parts(modality: str, *, color: str = "green") -> Parts:
    """ColorMAE on a modality with a grid; `color` is red, green, blue or purple."""
    return Parts(
        masker=NoiseMask(ratio=small.masker(modality).ratio, color=color),
        decoders={"main": small.DECODER},
        objectives=content(modality),
    )


def cpu(modality: str = "image") -> Recipe:
    """ColorMAE (green) on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data with a grid (the argument)
    Paper: https://arxiv.org/abs/2407.13036; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"colormae-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2407.13036
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(*, epochs: int, color: str = "green") -> Recipe:
    # The official config is mmpretrain's mae_vit-base-p16_8xb512-amp-coslr-300e_in1k with another
    # mask: batch 4096, rate 2.4e-3, betas (0.9, 0.95), weight decay 0.05, 40 epochs of warm-up,
    # normalised pixels, crops of 0.2 to 1 - all as in MAE (logs/pretrain/*/colormae-green-config).
    recipe = mae.base()
    return replace(
        recipe,
        name=f"colormae-{color}-{epochs}",
        masker=NoiseMask(ratio=0.75, color=color),
        optim=replace(recipe.optim, steps=steps_of(epochs=epochs, samples=IMAGENET_1K, batch=4096)),
    )


def base() -> Recipe:
    """ColorMAE-green ViT-B/16 on ImageNet-1k, 300 epochs, for 8 GPUs.

    Cost: not stated in GPU hours; per step that of MAE. Result: 83.0 % fine-tuned, 45.9 mIoU on
    ADE20K (MODEL_ZOO.md of the official code).
    Command: accelerate launch -m omnimask pretrain recipes.colormae:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2407.13036; settings of the official code's
        configs/colormae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py
    Status: not trained at this size here
    """
    return _published(epochs=300)


def base_800() -> Recipe:
    """ColorMAE-green ViT-B/16 on ImageNet-1k, 800 epochs, for 8 GPUs.

    Result: 83.6 % fine-tuned, 49.2 mIoU on ADE20K (MODEL_ZOO.md of the official code).

    Modalities: image
    Paper: https://arxiv.org/abs/2407.13036; logs/pretrain/800e of the official code
    Status: not trained at this size here
    """
    return _published(epochs=800)


def base_1600() -> Recipe:
    """ColorMAE-green ViT-B/16 on ImageNet-1k, 1600 epochs, for 8 GPUs.

    Result: 83.8 % fine-tuned, 49.3 mIoU on ADE20K (MODEL_ZOO.md of the official code).

    Modalities: image
    Paper: https://arxiv.org/abs/2407.13036; logs/pretrain/1600e of the official code
    Status: not trained at this size here
    """
    return _published(epochs=1600)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.colormae:cpu", *sys.argv[1:]]))
