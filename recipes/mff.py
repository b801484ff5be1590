"""MFF: MAE whose decoder reads a learned mean of shallow and deep blocks.

Improving Pixel-based MIM by Reducing Wasted Modeling Capability, https://arxiv.org/abs/2308.00261;
official code open-mmlab/mmpretrain, mmpretrain/models/selfsup/mff.py and configs/mff. Pixels need
low-level features; where the decoder can take them from early blocks, the last one need not keep
them. `last_layer` in the log is the share of the last block in the mean.

Deviations beside those of recipes/mae.py: none in the parts that are MFF's own. With all weight on
the last block it is MAE, bit for bit (tests/unit/decoders/test_self_attention.py). The official
data configuration resizes images to 224, pads 4 pixels by reflection and crops at random, instead
of MAE's crops of 0.2 to 1; here crops are MAE's.
"""

import sys
from dataclasses import replace

from omnimask.commands.main import main
from omnimask.decoders import LayerFusion, SelfAttentionDecoder
from omnimask.recipe.recipe import Recipe
from recipes import mae, small
from recipes.published import IMAGENET_1K, steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.MODALITIES
_BATCH = 4096  # 8 GPUs of 512


def parts(modality: str) -> Parts:
    """MFF on any modality, with two of the small encoder's four blocks."""
    return Parts(
        masker=small.masker(modality),
        decoders={"main": replace(small.DECODER, reads=LayerFusion(layers_read=(-3, -1)))},
        objectives=content(modality),
    )


def cpu(modality: str = "image") -> Recipe:
    """MFF on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2308.00261; sizes are ours
    Status: trains
    """
    return small_recipe(f"mff-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2308.00261
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(epochs: int) -> Recipe:
    recipe = mae.base()
    optim = replace(recipe.optim, steps=steps_of(epochs=epochs, samples=IMAGENET_1K, batch=_BATCH))
    decoder = SelfAttentionDecoder(width=512, depth=8, num_heads=16, reads=LayerFusion())
    return replace(recipe, name=f"mff-base-{epochs}", decoders={"main": decoder}, optim=optim)


def base() -> Recipe:
    """MFF ViT-B/16 on ImageNet-1k, 300 epochs, for 8 GPUs.

    Cost: 8 GPUs, hours not stated. Result: 83.0 % fine-tuned (README of configs/mff).
    Command: accelerate launch -m omnimask pretrain recipes.mff:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2308.00261; configs/mff/mff_vit-base-p16_8xb512-amp-coslr-300e_in1k
    Status: not trained at this size here
    """
    return _published(300)


def base_800() -> Recipe:
    """MFF ViT-B/16 on ImageNet-1k, 800 epochs, for 8 GPUs.

    Result: 83.7 % fine-tuned (README of configs/mff).

    Modalities: image
    Paper: https://arxiv.org/abs/2308.00261; configs/mff/mff_vit-base-p16_8xb512-amp-coslr-800e_in1k
    Status: not trained at this size here
    """
    return _published(800)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.mff:cpu", *sys.argv[1:]]))
