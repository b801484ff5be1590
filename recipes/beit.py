"""BEiT: blocks of mask tokens in the encoder, and the codes of a pixel tokenizer as targets.

BEiT: BERT Pre-Training of Image Transformers, https://arxiv.org/abs/2106.08254; official code
microsoft/unilm, folder beit (run_beit_pretraining.py, modeling_pretrain.py). A tokenizer trained to
rebuild pixels names every patch by one of its codes; the encoder sees the image with blocks of
patches replaced and names the codes of those.

Deviations. The published tokenizer is DALL-E's dVAE on a second view of 112 pixels, which cannot be
had from a package index; here it is a run of its own, `tokenizer` below: a small encoder, a
codebook of 8192 codes and a decoder that rebuilds the pixels from codes, on the same view. Colours
are jittered by 0.4 there, here not. Blocks are drawn as BlockMask says. Keys have no bias there;
the mask token decays there; warm-up starts near 0, there at 1e-6. The per-modality vector has no
counterpart. The encoder, one table of relative position biases for all blocks and no absolute
positions, the loss and all gradients equal transformers' BeitForMaskedImageModeling with the same
weights, masks and codes (tests/parity/test_transformers_beit.py).

The small sizes have the additive positions of all methods' small encoder and hide 0.4 of the tokens
in blocks; on video a block spans all frames. Points, voxels and tables have no grid for blocks.
"""

import sys
from dataclasses import replace

from modalities.image import ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import NoDecoder, QuantisedDecoder
from omnimask.masking import BlockMask, ShowAll
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import vit
from omnimask.objectives.heads import LinearHead
from omnimask.objectives.objective import Objective, cross_entropy, mse
from omnimask.objectives.targets import Content, TeacherCodes
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from omnimask.recipe.teacher import FrozenTeacher
from recipes import beit2, small
from recipes.published import IMAGENET_1K, IMAGENET_MEAN, IMAGENET_STD, imagenet, steps_of
from recipes.small import Parts, debug_size, small_recipe
from recipes.vqkd import CODEBOOK

MODALITIES = small.GRIDS
_BATCH = 2048


def parts(modality: str) -> Parts:
    """BEiT on any modality with a grid, with the finished run of `tokenizer_cpu`."""
    return Parts(
        masker=beit2.blocks(modality),
        decoders={"main": NoDecoder()},
        objectives=(_codes(modality, CODEBOOK.num_codes),),
        hidden="replace",
        teacher=FrozenTeacher(run=f"runs/beit-tokenizer-cpu-{modality}", decoder="main"),
    )


def _codes(modality: str, num_codes: int, *, head: LinearHead | None = None) -> Objective:
    """The code of each hidden token."""
    return Objective(
        name=f"{modality}_codes",
        modality=modality,
        target=TeacherCodes(num_codes=num_codes),
        loss=cross_entropy,
        head=head or LinearHead(),
    )


def _pixels(modality: str) -> Objective:
    """What the tokenizer rebuilds: every token's own content."""
    return Objective(
        name=f"{modality}_content", modality=modality, target=Content(), loss=mse, where="all"
    )


def cpu(modality: str = "image") -> Recipe:
    """BEiT on the sample data of one modality, in minutes on two CPU cores.

    Its tokenizer is the finished run of recipes.beit:tokenizer_cpu for the same modality; another
    one is named by --set teacher.run=...

    Modalities: all of the sample data with a grid (the argument)
    Paper: https://arxiv.org/abs/2106.08254; sizes are ours
    Status: trains
    """
    return small_recipe(f"beit-cpu-{modality}", parts(modality), [modality])


def tokenizer_cpu(modality: str = "image") -> Recipe:
    """The tokenizer of `cpu`: 256 codes from which each token's content is rebuilt.

    Modalities: all of the sample data with a grid (the argument)
    Paper: stands for the dVAE of https://arxiv.org/abs/2106.08254, section 2.1; ours
    Status: trains
    """
    chosen = Parts(masker=ShowAll(), decoders={"main": CODEBOOK}, objectives=(_pixels(modality),))
    return small_recipe(f"beit-tokenizer-cpu-{modality}", chosen, [modality])


def debug() -> Recipe:
    """Four steps of the cpu size with a random tokenizer: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2106.08254
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(replace(cpu(), teacher=FrozenTeacher(codebook=CODEBOOK)))


def tokenizer() -> Recipe:
    """A pixel tokenizer of 8192 codes for `base` and `large`, 100 epochs, for 8 GPUs.

    Modalities: image
    Paper: stands for the dVAE of https://arxiv.org/abs/2106.08254, section 2.1; sizes are ours
    Status: a valid recipe; not trained at this size here
    """
    batch = 1024
    return Recipe(
        name="beit-tokenizer",
        modalities=(
            ImagePatches(size=(224, 224), patch=(16, 16), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ),
        masker=ShowAll(),
        encoder=vit("small"),
        decoders={"main": QuantisedDecoder(width=384, num_heads=6)},
        objectives=(_pixels("image"),),
        data=imagenet(batch_size=128),
        optim=Optim(
            steps=steps_of(epochs=100, samples=IMAGENET_1K, batch=batch),
            lr=4e-4,
            final_lr=1e-5,
            warmup_steps=steps_of(epochs=5, samples=IMAGENET_1K, batch=batch),
            weight_decay=1e-4,
            betas=(0.9, 0.99),
            clip_norm=3.0,
            accumulate=16,
        ),
        run=Run(num_workers=12, checkpoint_every=5_000),
    )


def _published(size: str, *, layer_scale: float, batch_size: int, accumulate: int) -> Recipe:
    return Recipe(
        name=f"beit-{size}",
        modalities=(
            ImagePatches(size=(224, 224), patch=(16, 16), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ),
        masker=BlockMask(ratio=75 / 196, min_tokens=16),  # num_mask_patches
        encoder=replace(
            vit(size),
            style=BlockStyle(layer_scale=layer_scale),
            positions="none",
            relative_bias="shared",
            init="normal_by_depth",
            drop_path=0.1,
        ),
        hidden="replace",
        decoders={"main": NoDecoder()},
        objectives=(_codes("image", 8192, head=LinearHead(std=0.02)),),
        teacher=FrozenTeacher(run="runs/beit-tokenizer", decoder="main"),
        data=imagenet(batch_size=batch_size, crop_scale=(0.08, 1.0)),
        optim=Optim(
            steps=steps_of(epochs=800, samples=IMAGENET_1K, batch=_BATCH),
            lr=1.5e-3,  # not scaled by the batch
            final_lr=1e-5,  # min_lr
            warmup_steps=steps_of(epochs=10, samples=IMAGENET_1K, batch=_BATCH),
            weight_decay=0.05,
            betas=(0.9, 0.999),
            clip_norm=3.0,
            accumulate=accumulate,
        ),
        run=Run(num_workers=12, checkpoint_every=5_000),
    )


def base() -> Recipe:
    """BEiT ViT-B/16 on ImageNet-1k, 800 epochs, for 8 GPUs.

    Result: 83.2 % fine-tuned (the paper's abstract), with DALL-E's tokenizer. From memory, to be
    checked: the cost, about five days on 16 V100, and the second beta, 0.999 in the appendix and
    0.98 by the script's default.
    Command: accelerate launch -m omnimask pretrain recipes.beit:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2106.08254, section 2.5; run_beit_pretraining.py
    Status: parity with transformers; needs the run of recipes.beit:tokenizer; not trained at this
        size here
    """
    return _published("base", layer_scale=0.1, batch_size=128, accumulate=16)


def large() -> Recipe:
    """BEiT ViT-L/16 on ImageNet-1k, 800 epochs, for 8 GPUs.

    Result: 86.3 % fine-tuned with ImageNet-1k alone (the paper's abstract, which does not say at
    which size of pictures), with DALL-E's tokenizer.

    Modalities: image
    Paper: https://arxiv.org/abs/2106.08254, section 2.5; run_beit_pretraining.py
    Status: parity with transformers; needs the run of recipes.beit:tokenizer; not trained at this
        size here
    """
    return _published("large", layer_scale=1e-5, batch_size=32, accumulate=64)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.beit:cpu", *sys.argv[1:]]))
