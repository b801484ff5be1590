"""BEiT v2: blocks of mask tokens in the encoder, and the codes of a trained tokenizer as targets.

BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers,
https://arxiv.org/abs/2208.06366, section 2.3; official code microsoft/unilm, folder beit2
(run_beitv2_pretraining.py, modeling_pretrain.py). The tokenizer, a finished run of recipes/vqkd.py,
sees the whole image; the encoder sees it with blocks replaced and names the code of each hidden
patch. A second head names them again from an early layer's patches and the last [CLS] alone, so
that [CLS] must gather what the early layer lacks. Both cross-entropies have weight 1.

Deviations. The two blocks of the second head have relative position biases and drop branches there
(cls_pt_layers of modeling_pretrain.py), and start as the encoder's; see EarlyContextDecoder, whose
blocks start Xavier-uniform. Norm and output layer are shared, as there (shared_lm_head). Colours
are jittered by 0.4 there, here not. Blocks are drawn as BlockMask says. Keys have no bias there;
the mask token decays there; warm-up starts near 0, there at 1e-6. The per-modality vector has no
counterpart. tests/parity/test_transformers_beit.py has the encoder and the first head.

The small sizes hide 0.4 of the tokens in blocks of at least 16 of 196 of the grid, as there; on
video a block spans all frames, so that the next frame does not give it away. Points, voxels and
tables have no grid for blocks.
"""

import math
import sys
from dataclasses import replace

from modalities.image import ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import EarlyContextDecoder, NoDecoder
from omnimask.masking import BlockMask
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import vit
from omnimask.objectives.heads import LinearHead, SharedHead
from omnimask.objectives.objective import Objective, cross_entropy
from omnimask.objectives.targets import TeacherCodes
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from omnimask.recipe.teacher import FrozenTeacher
from recipes import small
from recipes.published import IMAGENET_1K, IMAGENET_MEAN, IMAGENET_STD, imagenet, steps_of
from recipes.small import Parts, debug_size, small_recipe
from recipes.vqkd import CODEBOOK

MODALITIES = small.GRIDS
_BATCH = 2048  # PRETRAINING.md: 16 GPUs of 128, or 64 of 32


def blocks(modality: str) -> BlockMask:
    """The published mask at the grid of a small modality."""
    places = math.prod(small.grid(modality)[-2:])  # of one frame
    return BlockMask(ratio=0.4, min_tokens=round(places * 16 / 196))


def parts(modality: str) -> Parts:
    """BEiT v2 on any modality with a grid, with the finished run of recipes.vqkd:cpu."""
    return Parts(
        masker=blocks(modality),
        decoders={"main": NoDecoder(), "early": EarlyContextDecoder(layer=-2, share_norm=True)},
        objectives=_codes(modality, CODEBOOK.num_codes),
        hidden="replace",
        teacher=FrozenTeacher(run=f"runs/vqkd-cpu-{modality}", decoder="main"),
    )


def _codes(
    modality: str, num_codes: int, *, head: LinearHead | None = None
) -> tuple[Objective, Objective]:
    """The code of each hidden token, from the last layer and from an early one with [CLS]."""
    last = Objective(
        name=f"{modality}_codes",
        modality=modality,
        target=TeacherCodes(num_codes=num_codes),
        loss=cross_entropy,
        head=head or LinearHead(),
    )
    shared = SharedHead(objective=last.name)  # shared_lm_head
    return last, replace(last, name=f"{modality}_codes_early", decoder="early", head=shared)


def cpu(modality: str = "image") -> Recipe:
    """BEiT v2 on the sample data of one modality, in minutes on two CPU cores.

    Its tokenizer is the finished run of recipes.vqkd:cpu for the same modality; another one is
    named by --set teacher.run=...

    Modalities: all of the sample data with a grid (the argument)
    Paper: https://arxiv.org/abs/2208.06366; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"beit2-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size with a random tokenizer: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2208.06366
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(replace(cpu(), teacher=FrozenTeacher(codebook=CODEBOOK)))


def _published(
    size: str, *, layer_scale: float, batch_size: int, accumulate: int, epochs: int = 1600
) -> Recipe:
    long = epochs > 300  # PRETRAINING.md: 0.98 and no drop path for 300 epochs
    return Recipe(
        name=f"beit2-{size}",
        modalities=(
            ImagePatches(size=(224, 224), patch=(16, 16), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ),
        masker=BlockMask(ratio=75 / 196, min_tokens=16),  # num_mask_patches
        encoder=replace(
            vit(size),
            style=BlockStyle(layer_scale=layer_scale),
            positions="none",
            relative_bias="shared",  # rel_pos_bias of modeling_pretrain.py
            init="normal_by_depth",
            drop_path=0.1 if long else 0.0,
        ),
        hidden="replace",
        # early_layers 9 of 12 and 21 of 24, head_layers 2
        decoders={
            "main": NoDecoder(),
            "early": EarlyContextDecoder(layer=-4, depth=2, share_norm=True),
        },
        objectives=_codes("image", 8192, head=LinearHead(std=0.02)),  # init_std
        teacher=FrozenTeacher(run="runs/vqkd-base", decoder="main"),
        data=imagenet(batch_size=batch_size),  # min_crop_scale 0.2
        optim=Optim(
            steps=steps_of(epochs=epochs, samples=IMAGENET_1K, batch=_BATCH),
            lr=1.5e-3,  # not scaled by the batch
            final_lr=1e-5,  # min_lr
            warmup_steps=steps_of(epochs=10, samples=IMAGENET_1K, batch=_BATCH),
            weight_decay=0.05,
            betas=(0.9, 0.999 if long else 0.98),
            clip_norm=3.0,
            accumulate=accumulate,
        ),
        run=Run(num_workers=12, checkpoint_every=5_000),
    )


def base() -> Recipe:
    """BEiT v2 ViT-B/16 on ImageNet-1k, 1600 epochs, for 8 GPUs.

    Cost: 16 V100, hours not stated. Result: 85.5 % fine-tuned, 80.1 % linear (abstract).
    Command: accelerate launch -m omnimask pretrain recipes.beit2:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2208.06366; settings of the official PRETRAINING.md
    Status: a valid recipe; needs the run of recipes.vqkd:base; not trained at this size here
    """
    return _published("base", layer_scale=0.1, batch_size=128, accumulate=16)


def base_300() -> Recipe:
    """BEiT v2 ViT-B/16 on ImageNet-1k, the short schedule of 300 epochs, for 8 GPUs.

    Cost: 16 V100, hours not stated.

    Modalities: image
    Paper: https://arxiv.org/abs/2208.06366; settings of the official PRETRAINING.md
    Status: a valid recipe; needs the run of recipes.vqkd:base; not trained at this size here
    """
    recipe = _published("base", layer_scale=0.1, batch_size=128, accumulate=16, epochs=300)
    return replace(recipe, name="beit2-base-300")


def large() -> Recipe:
    """BEiT v2 ViT-L/16 on ImageNet-1k, 1600 epochs, for 8 GPUs.

    Cost: 64 V100, hours not stated. Result: 87.3 % fine-tuned (abstract).

    Modalities: image
    Paper: https://arxiv.org/abs/2208.06366; settings of the official PRETRAINING.md
    Status: a valid recipe; needs the run of recipes.vqkd:base; not trained at this size here
    """
    return _published("large", layer_scale=1e-5, batch_size=32, accumulate=64)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.beit2:cpu", *sys.argv[1:]]))
