"""SimMIM: mask tokens inside the encoder, one linear layer as decoder, L1 on plain pixels.

SimMIM: A Simple Framework for Masked Image Modeling, https://arxiv.org/abs/2111.09886; official
code microsoft/SimMIM. Cells larger than a patch are replaced by a learned token before the encoder,
so that the encoder itself fills the gaps and pixels are regressed without a decoder.

Deviations: the per-modality vector has no counterpart; keys have a bias, there not. Warm-up starts
near 0, there at 2e-6. The official code hides ceil(0.6 * 49) = 30 of 49 cells, for which the ratio
here is 30/49; with any other ratio one cell may be shown in part. The published Swin encoders have
no counterpart. With additive positions, and neither layer scale nor drop path, loss and gradients
equal transformers' ViTForMaskedImageModeling with the same weights and masks
(tests/parity/test_transformers_simmim.py); the published encoder, one table of relative position
biases for all blocks in place of absolute positions, equals transformers' BEiT
(tests/parity/test_transformers_beit.py).

The small sizes have the additive positions of all methods' small encoder.

On video a cell spans all frames, so that the next frame does not give it away; points, voxels and
tables have no grid, so that single tokens are replaced, with the target and loss of their own
papers. Replaced voxels include queries at empty places, which only ask whether they are occupied.
"""

import sys
from dataclasses import replace

from modalities.image import ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import NoDecoder
from omnimask.masking import CellMask
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective, l1
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run, StepSchedule
from recipes import small
from recipes.published import IMAGENET_1K, IMAGENET_MEAN, IMAGENET_STD, imagenet, steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.MODALITIES
_BATCH = 2048  # the README's command: 16 GPUs of 128


def _cell(modality: str) -> tuple[int, ...]:
    """In tokens: two along height and width (or time and frequency), as 32 of patches of 16 are;
    all along what comes before.
    """
    *time, _, _ = small.grid(modality)
    return (*time, 2, 2)


def parts(modality: str) -> Parts:
    """SimMIM on any modality: cells where there is a grid, single tokens where there is none."""
    objectives = content(modality)
    if modality not in small.GRIDS:
        return Parts(
            masker=small.masker(modality),
            decoders={"main": NoDecoder()},
            objectives=objectives,
            hidden="replace",
        )
    return Parts(
        masker=CellMask(ratio=0.6, cell=_cell(modality)),
        decoders={"main": NoDecoder()},
        objectives=tuple(replace(o, target=Content(), loss=l1) for o in objectives),
        hidden="replace",
    )


def cpu(modality: str = "image") -> Recipe:
    """SimMIM on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2111.09886; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"simmim-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2111.09886
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def base() -> Recipe:
    """SimMIM ViT-B/16 on ImageNet-1k, 800 epochs, for 8 GPUs.

    Cost: not stated for ViT-B. Result: 83.8 % fine-tuned (README of the official code).
    Command: accelerate launch -m omnimask pretrain recipes.simmim:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2111.09886; settings of the official code's
        configs/vit_base__800ep/simmim_pretrain__vit_base__img224__800ep.yaml and config.py
    Status: parity with transformers; not trained at this size here
    """
    lr = 1e-4 * _BATCH / 512  # BASE_LR and the scaling of main_simmim.py
    return Recipe(
        name="simmim-base",
        modalities=(
            ImagePatches(size=(224, 224), patch=(16, 16), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ),
        masker=CellMask(ratio=30 / 49, cell=(2, 2)),  # MASK_PATCH_SIZE 32, MASK_RATIO 0.6
        encoder=replace(
            vit("base"),
            style=BlockStyle(layer_scale=0.1),  # INIT_VALUES
            positions="none",
            relative_bias="shared",  # USE_SHARED_RPB
            init="normal_by_depth",
            drop_path=0.1,  # DROP_PATH_RATE
        ),
        hidden="replace",
        decoders={"main": NoDecoder()},
        objectives=(Objective(name="image_pixels", modality="image", target=Content(), loss=l1),),
        # data/data_simmim.py: crops of 0.67 to 1, torchvision's default interpolation
        data=imagenet(batch_size=128, crop_scale=(0.67, 1.0), interpolation="bilinear"),
        optim=Optim(
            steps=steps_of(epochs=800, samples=IMAGENET_1K, batch=_BATCH),
            lr=lr,
            warmup_steps=steps_of(epochs=10, samples=IMAGENET_1K, batch=_BATCH),
            weight_decay=0.05,
            betas=(0.9, 0.999),
            clip_norm=5.0,
            accumulate=16,
            schedule=StepSchedule(at=(700 / 800,), factor=0.1),  # MULTISTEPS, GAMMA
        ),
        run=Run(num_workers=12, checkpoint_every=5_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.simmim:cpu", *sys.argv[1:]]))
