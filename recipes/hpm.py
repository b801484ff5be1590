"""HPM: a second decoder learns which patches are hard, and its slow copy hides these.

Hard Patches Mining for Masked Image Modeling, https://arxiv.org/abs/2304.05919; official code
Haochen-Wang409/HPM. Beside MAE's decoder another one ranks the hidden patches by the loss that the
first is just making; an EMA of the whole model ranks all patches before masking, and a share of the
hidden ones, growing over the run from none to half, are those it calls hardest.

The reconstruction's target: the official scripts do not normalise pixels per patch, so a patch is
hard if it is rich in contrast; the small sizes here do likewise. The ranking counts pairs of hidden
patches of one image and needs no normalised losses. Both losses have weight 1.

Deviations beside those of recipes/mae.py. Both official decoders share the projection, the mask
token and its places; here each has its own. The official predictor puts out 768 numbers and takes
their mean, here it is one. The official teacher is shown all patches and read at these; ours is
shown all and asked with mask tokens at every place, for which its predictor was trained. The hard
share grows by steps, there by epochs. The rates of the official script for 800 epochs are those of
a batch of 256; here, as in its PRETRAIN.md, the batch is 2048 and the rate eight times as high.

On other modalities the idea stays as it is: tubelets of a video are hidden one by one, and of the
three losses of voxels that of the points is ranked. tests/unit/objectives/test_losses.py compares
the ranking with a plain mean over pairs.
"""

import sys
from dataclasses import replace

from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import GuidedMask
from omnimask.objectives.late_targets import LossOf
from omnimask.objectives.objective import Objective, mse, ranking
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import Teacher
from recipes import mae, small
from recipes.published import IMAGENET_1K, steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.MODALITIES
_BATCH = 2048  # PRETRAIN.md: 8 GPUs of 32, 8 accumulated
_EPOCHS = 800  # scripts/pretrain_base.sh


def parts(modality: str) -> Parts:
    """HPM on any modality, at the mask ratio of that modality's own paper."""
    objectives = tuple(
        replace(o, target=Content()) if isinstance(o.target, Content) else o
        for o in content(modality)
    )
    hardness = _hardness(objectives[0])
    return Parts(
        masker=GuidedMask(ratio=small.masker(modality).ratio, hint=hardness.name),
        objectives=(*objectives, hardness),
        decoders={"main": small.DECODER, "hardness": small.DECODER},
        # The published decay, 0.999 to 0.9999, forgets over more steps than these runs have.
        teacher=Teacher(decay=0.99, final_decay=0.999),
    )


def _hardness(objective: Objective) -> Objective:
    """Which tokens have a higher loss of `objective` than others."""
    return Objective(
        name=f"{objective.modality}_hardness",
        modality=objective.modality,
        target=LossOf(objective=objective.name),
        loss=ranking,
        decoder="hardness",
    )


def cpu(modality: str = "image") -> Recipe:
    """HPM on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2304.05919; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"hpm-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2304.05919
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(recipe: Recipe, name: str) -> Recipe:
    pixels = Objective(name="image_pixels", modality="image", target=Content(), loss=mse)
    hardness = _hardness(pixels)
    decoder = SelfAttentionDecoder(width=512, depth=8, num_heads=16)
    return replace(
        recipe,
        name=name,
        masker=GuidedMask(ratio=0.75, hint=hardness.name, start=0.0, stop=0.5),
        objectives=(pixels, hardness),
        decoders={"main": decoder, "hardness": decoder},
        # engine_pretrain.py: over the first 100 epochs
        teacher=Teacher(decay=0.999, final_decay=0.9999, ramp=100 / _EPOCHS),
        optim=replace(  # AdamW with weight decay 0.05, betas (0.9, 0.95) and no clipping as in MAE
            recipe.optim,
            steps=steps_of(epochs=_EPOCHS, samples=IMAGENET_1K, batch=_BATCH),
            lr=1.5e-4 * _BATCH / 256,
            warmup_steps=steps_of(epochs=40, samples=IMAGENET_1K, batch=_BATCH),
            accumulate=32,
        ),
    )


def base() -> Recipe:
    """HPM ViT-B/16 on ImageNet-1k, 800 epochs, for 8 GPUs.

    Cost: not stated in GPU hours. Result: 84.2 % fine-tuned, 48.5 mIoU on ADE20K (README of the
    official code).
    Command: accelerate launch -m omnimask pretrain recipes.hpm:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2304.05919; settings of PRETRAIN.md, scripts/pretrain_base.sh and
        engine_pretrain.py of the official code
    Status: not trained at this size here
    """
    return _published(mae.base(), "hpm-base")


def large() -> Recipe:
    """HPM ViT-L/16 on ImageNet-1k, 800 epochs, for 8 GPUs.

    Result: 85.8 % fine-tuned, 54.6 mIoU on ADE20K (README of the official code).

    Modalities: image
    Paper: https://arxiv.org/abs/2304.05919; as base, there is no script for this size
    Status: not trained at this size here
    """
    return _published(mae.large(), "hpm-large")


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.hpm:cpu", *sys.argv[1:]]))
