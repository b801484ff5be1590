"""EVA-02: blocks of mask tokens, and the features of a large contrastive encoder at their places.

EVA-02: A Visual Representation for Neon Genesis, https://arxiv.org/abs/2303.11331; official code
baaivision/EVA, EVA-02/asuka (modeling_pretrain.py, README.md). A modern encoder, rotary places,
gated MLPs with a norm inside and a norm before attention's output, names by their cosine what
EVA-CLIP says of 105 hidden patches of 256.

Deviations. The teacher is any imported encoder (`omnimask import`), there EVA-CLIP-g after its
projection; here its normalised output. The patch embedding's gradient is a tenth there
(stop_grad_conv1), here whole. Weights start Xavier-uniform, there Xavier-normal and, in encoders
with inner norms, times sqrt(log(2 depth)). Rotary frequencies are ours. Keys have no bias there.
Published on ImageNet-22k; the number of steps here is that of its epochs on ImageNet-1k. The
per-modality vector has no counterpart. The block with inner norms equals timm's EvaBlock with the
same weights (tests/parity/test_timm.py).

The small sizes take the finished run of recipes.mae:cpu as teacher. Blocks need a grid; elsewhere
single tokens are hidden.
"""

import sys
from dataclasses import replace

from modalities.image import ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import NoDecoder
from omnimask.masking import BlockMask, RandomMask
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import vit
from omnimask.objectives.heads import LinearHead
from omnimask.objectives.objective import Objective, cosine
from omnimask.objectives.targets import TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from omnimask.recipe.teacher import FrozenTeacher
from recipes import beit2, small
from recipes.published import IMAGENET_1K, IMAGENET_MEAN, IMAGENET_STD, imagenet, steps_of
from recipes.small import Parts, debug_size, latent, small_recipe

MODALITIES = small.MODALITIES
GATED = BlockStyle(swiglu=True)
INNER_NORMS = BlockStyle(swiglu=True, sub_norm=True)
ENCODER = replace(small.ENCODER, style=INNER_NORMS, positions="both")
_BATCH = 2048


def parts(modality: str) -> Parts:
    """EVA-02 on any modality, with the finished run of recipes.mae:cpu as teacher."""
    return Parts(
        masker=beit2.blocks(modality) if modality in small.GRIDS else RandomMask(ratio=0.4),
        decoders={"main": NoDecoder()},
        objectives=(_features(modality),),
        hidden="replace",
        teacher=FrozenTeacher(run=f"runs/mae-cpu-{modality}"),
    )


def _features(modality: str, *, head: LinearHead | None = None) -> Objective:
    """The teacher's normalised output at hidden tokens, up to its length."""
    target = TeacherFeatures(layers=(0,), norm="none")
    return replace(latent(modality, target, cosine), head=head or LinearHead())


def cpu(modality: str = "image") -> Recipe:
    """EVA-02 on the sample data of one modality, in minutes on two CPU cores.

    Its teacher is the finished run of recipes.mae:cpu for the same modality; another one is named
    by --set teacher.run=...

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2303.11331; sizes are ours
    Status: trains
    """
    return small_recipe(f"eva02-cpu-{modality}", parts(modality), [modality], encoder=ENCODER)


def debug() -> Recipe:
    """Four steps of the cpu size with a random teacher: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2303.11331
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(replace(cpu(), teacher=FrozenTeacher()))


def _published(size: str, style: BlockStyle, *, epochs: int, drop_path: float = 0.0) -> Recipe:
    return Recipe(
        name=f"eva02-{size}",
        modalities=(
            ImagePatches(
                size=(224, 224),
                patch=(14, 14),
                mean=IMAGENET_MEAN,
                std=IMAGENET_STD,
                positions="table",
            ),
        ),
        masker=BlockMask(ratio=105 / 256, min_tokens=16),
        encoder=replace(vit(size), style=style, positions="both", drop_path=drop_path),
        hidden="replace",
        decoders={"main": NoDecoder()},
        objectives=(_features("image", head=LinearHead(std=0.02)),),
        teacher=FrozenTeacher(run="encoders/clip-large"),
        data=imagenet(batch_size=64),
        optim=Optim(
            steps=steps_of(epochs=epochs, samples=IMAGENET_1K, batch=_BATCH),
            lr=1.5e-3,
            final_lr=1e-5,
            warmup_steps=steps_of(epochs=1, samples=IMAGENET_1K, batch=_BATCH),
            weight_decay=0.05,
            betas=(0.9, 0.98),
            clip_norm=3.0,
            accumulate=32,
        ),
        run=Run(num_workers=12, checkpoint_every=5_000),
    )


def small_size() -> Recipe:
    """EVA-02-S/14, gated MLPs without inner norms, 240 epochs, for 8 GPUs.

    Result: 85.8 % fine-tuned at 336 pixels (official README).

    Modalities: image
    Paper: https://arxiv.org/abs/2303.11331; eva02_small_..._SwiGLU_preln_RoPE_jaxinit; rate, betas,
        decay and gradient norm are to be checked with the official scripts
    Status: a valid recipe; needs an imported teacher; not trained at this size here
    """
    return _published("small", GATED, epochs=240)


def base() -> Recipe:
    """EVA-02-B/14, 150 epochs, for 8 GPUs.

    Cost: not stated there. Result: 88.3 % fine-tuned at 448 pixels (official README).
    Command: accelerate launch -m omnimask pretrain recipes.eva02:base --set data.root=...
        --set teacher.run=...

    Modalities: image
    Paper: https://arxiv.org/abs/2303.11331; eva02_base_..._NaiveSwiGLU_subln_RoPE_jaxinit; rate,
        betas, decay and gradient norm are to be checked with the official scripts
    Status: a valid recipe; needs an imported teacher; not trained at this size here
    """
    return _published("base", INNER_NORMS, epochs=150)


def large() -> Recipe:
    """EVA-02-L/14, 150 epochs, for 8 GPUs.

    Result: 89.6 % fine-tuned at 448 pixels (official README).

    Modalities: image
    Paper: https://arxiv.org/abs/2303.11331; eva02_large_..._NaiveSwiGLU_subln_RoPE_jaxinit
    Status: a valid recipe; needs an imported teacher; not trained at this size here
    """
    return _published("large", INNER_NORMS, epochs=150, drop_path=0.1)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.eva02:cpu", *sys.argv[1:]]))
