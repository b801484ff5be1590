"""MAE: hide three quarters of the patches, encode the rest, reconstruct the hidden pixels.

Masked Autoencoders Are Scalable Vision Learners, https://arxiv.org/abs/2111.06377; official code
facebookresearch/mae. The encoder sees visible patches only, a small decoder gets mask tokens in the
places of the others and predicts their normalised pixels.

Deviations: crops and masks are functions of (seed, epoch, sample), drawn with other random numbers
than the official ones. The per-modality vector that our encoder adds to every token has no
counterpart there (for one modality it is one more bias). The position table orders its axes as
(row, column); the official one as (column, row). The official weight decay is also on [CLS] and the
mask token, ours on neither. Everything else, loss and gradients included, equals transformers'
ViTMAEForPreTraining with the same weights and masks (tests/parity/test_transformers_mae.py).
"""

import sys

from modalities.image import ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import RandomMask
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from recipes import small
from recipes.published import IMAGENET_1K, IMAGENET_MEAN, IMAGENET_STD, imagenet, steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.MODALITIES
_BATCH = 4096  # appendix A.1, table 8


def parts(modality: str) -> Parts:
    """MAE on any modality, at the mask ratio of that modality's own paper."""
    return Parts(
        masker=small.masker(modality),
        decoders={"main": small.DECODER},
        objectives=content(modality),
    )


def cpu(modality: str = "image") -> Recipe:
    """MAE on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2111.06377; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"mae-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2111.06377
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(size: str, patch: int) -> Recipe:
    lr = 1.5e-4 * _BATCH / 256  # table 8: base rate 1.5e-4, scaled by the batch
    epoch = IMAGENET_1K // _BATCH
    return Recipe(
        name=f"mae-{size}",
        modalities=(
            ImagePatches(
                size=(224, 224), patch=(patch, patch), mean=IMAGENET_MEAN, std=IMAGENET_STD
            ),
        ),
        masker=RandomMask(ratio=0.75),
        encoder=vit(size),
        decoders={"main": SelfAttentionDecoder(width=512, depth=8, num_heads=16)},
        objectives=(
            Objective(
                name="image_pixels", modality="image", target=Content(norm="token"), loss=mse
            ),
        ),
        data=imagenet(batch_size=64),
        optim=Optim(  # table 8; 1600 epochs are those of the main results, table 3
            steps=steps_of(epochs=1600, samples=IMAGENET_1K, batch=_BATCH),
            lr=lr,
            warmup_steps=40 * epoch,
            weight_decay=0.05,
            betas=(0.9, 0.95),
            clip_norm=None,
            accumulate=64,
        ),
        run=Run(num_workers=12, checkpoint_every=5_000),
    )


def base() -> Recipe:
    """MAE ViT-B/16 on ImageNet-1k, 1600 epochs, for 8 GPUs.

    Cost: not stated for ViT-B. Result: 83.6 % fine-tuned (table 3).
    Command: accelerate launch -m omnimask pretrain recipes.mae:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2111.06377, appendix A.1, table 8
    Status: parity with transformers; not trained at this size here
    """
    return _published("base", 16)


def large() -> Recipe:
    """MAE ViT-L/16 on ImageNet-1k, 1600 epochs, for 8 GPUs.

    Cost: 42 h for 800 epochs on 64 V100 (the official PRETRAIN.md). Result: 85.9 % fine-tuned
    (table 3).

    Modalities: image
    Paper: https://arxiv.org/abs/2111.06377, appendix A.1, table 8
    Status: parity with transformers; not trained at this size here
    """
    return _published("large", 16)


def huge() -> Recipe:
    """MAE ViT-H/14 on ImageNet-1k, 1600 epochs, for 8 GPUs.

    Result: 86.9 % fine-tuned at 224 pixels (table 3).

    Modalities: image
    Paper: https://arxiv.org/abs/2111.06377, appendix A.1, table 8
    Status: parity with transformers; not trained at this size here
    """
    return _published("huge", 14)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.mae:cpu", *sys.argv[1:]]))
