"""UTA: visible tokens agree with a frozen encoder's at the same places; nothing is reconstructed.

Enhancing Vision-Language Model with Unmasked Token Alignment, https://arxiv.org/abs/2405.19009. A
share of the tokens is left out; the encoded visible ones, through one linear layer, are compared by
their cosine with what a frozen teacher, which sees everything, says of these places. No mask token,
no decoder. Masks are drawn the other way round: blocks are shown, so that the border is not seen
more often than the middle.

Deviations. The official repository (jihaonew/UTA) has the models and no training code, so that the
share left out (0.5 here), the size of the blocks (one here), the rate and the number of epochs of
the published size (those of EVA-02) are to be checked with the paper. [CLS] is aligned there too,
here not. The published teacher's features are those after CLIP's projection into the space it has
in common with text; here they are its normalised output.

The small sizes take the finished run of recipes.mae:cpu as teacher; the published one an imported
encoder (`omnimask import`), such as CLIP's or DINOv2's.
"""

import sys
from dataclasses import replace

from modalities.image import ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import VisibleDecoder
from omnimask.masking import InverseBlockMask, Masker, PredictVisible, RandomMask
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, cosine
from omnimask.objectives.targets import TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from omnimask.recipe.teacher import FrozenTeacher
from recipes import small
from recipes.published import IMAGENET_1K, IMAGENET_MEAN, IMAGENET_STD, imagenet, steps_of
from recipes.small import Parts, debug_size, latent, small_recipe

MODALITIES = small.MODALITIES
RATIO = 0.5
BLOCKS = InverseBlockMask(ratio=RATIO, block=None, aspect=(0.3, 1 / 0.3), roll=True)
_BATCH = 2048


def parts(modality: str) -> Parts:
    """UTA on any modality, with the finished run of recipes.mae:cpu as teacher."""
    return Parts(
        masker=PredictVisible(masker=_hiding(modality)),
        decoders={"main": VisibleDecoder()},
        objectives=(_alignment(modality),),
        teacher=FrozenTeacher(run=f"runs/mae-cpu-{modality}"),
    )


def _hiding(modality: str) -> Masker:
    return BLOCKS if modality in small.GRIDS else RandomMask(ratio=RATIO)


def _alignment(modality: str) -> Objective:
    """The teacher's normalised output at visible tokens."""
    target = TeacherFeatures(layers=(0,), norm="none")
    return replace(latent(modality, target, cosine), where="visible")


def cpu(modality: str = "image") -> Recipe:
    """UTA on the sample data of one modality, in minutes on two CPU cores.

    Its teacher is the finished run of recipes.mae:cpu for the same modality; another one is named
    by --set teacher.run=...

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2405.19009; sizes are ours
    Status: trains
    """
    return small_recipe(f"uta-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size with a random teacher: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2405.19009
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(replace(cpu(), teacher=FrozenTeacher()))


def base() -> Recipe:
    """UTA ViT-B/14, rotary and gated as EVA-02's, towards an imported CLIP ViT-L/14, for 8 GPUs.

    Cost: not known. Result: see the paper's tables. Published on ImageNet-22k; the steps here are
    150 epochs of ImageNet-1k.
    Command: accelerate launch -m omnimask pretrain recipes.uta:base --set data.root=...
        --set teacher.run=...

    Modalities: image
    Paper: https://arxiv.org/abs/2405.19009; settings not published as code, see above
    Status: a valid recipe; needs an imported teacher; not trained at this size here
    """
    style = BlockStyle(swiglu=True, sub_norm=True)
    return Recipe(
        name="uta-base",
        modalities=(
            ImagePatches(size=(224, 224), patch=(14, 14), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ),
        masker=PredictVisible(masker=BLOCKS),
        encoder=replace(vit("base"), style=style, positions="both"),
        decoders={"main": VisibleDecoder()},
        objectives=(_alignment("image"),),
        teacher=FrozenTeacher(run="encoders/clip-large"),
        data=imagenet(batch_size=128),
        optim=Optim(
            steps=steps_of(epochs=150, samples=IMAGENET_1K, batch=_BATCH),
            lr=1.5e-3,
            final_lr=1e-5,
            warmup_steps=steps_of(epochs=1, samples=IMAGENET_1K, batch=_BATCH),
            weight_decay=0.05,
            betas=(0.9, 0.98),
            clip_norm=3.0,
            accumulate=16,
        ),
        run=Run(num_workers=12, checkpoint_every=5_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.uta:cpu", *sys.argv[1:]]))
