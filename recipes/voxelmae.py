"""Voxel-MAE: hide 70 % of a lidar sweep's voxels; ask for their points, how many, and if any.

Masked Autoencoder for Self-Supervised Pre-training on Lidar Point Clouds,
https://arxiv.org/abs/2207.00531; official code georghess/voxel-mae. The decoder is asked about
hidden voxels and some empty cells: whether there are points, how many, and where. Since sweeps are
dense near the sensor and sparse far from it, every voxel counts the same.

Deviations from the official code:
- A plain encoder with attention among all visible voxels; there SST, whose blocks attend within
  windows of 16 by 16 voxels, twice each, the second time shifted: 8 of them are 16 blocks here, and
  the decoder's 6 are 12. A norm before each branch, there after it; positions enter once, there in
  the queries and keys of every block.
- One sweep, there the key frame with one sweep before it (merge them beforehand to have both);
  points on the car itself (nearer than 2 m) are not removed.
- At most 8192 voxels of a sweep are kept, and at most 100 points of each; there all voxels, and all
  their points are shown, 100 compared with. LayerNorm in place of BatchNorm in the voxel embedding.
- The published configurations do not say for how many GPUs they are: 8 are assumed, a batch of 32.
- Mirrored at x and y, there at one of them. The warm-up starts at 0, there at a tenth. The
  per-modality vector of the encoder has no counterpart. Augmentation and masks are functions of
  (seed, epoch, sample).

The small size predicts the logarithm of the number of points, the published one the number.
"""

import sys
from dataclasses import replace

from modalities.voxels import VoxelCount, VoxelGrid, VoxelPoints
from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import PredictVisible, RandomMask
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import Encoder
from omnimask.objectives.heads import TanhHead
from omnimask.objectives.objective import Objective
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from recipes import small
from recipes.published import nuscenes_sweeps, steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = ("voxels",)
NUSCENES = 28_130  # annotated key frames of the training split, https://arxiv.org/abs/1903.11027
_BATCH = 32


def parts(modality: str) -> Parts:
    """Random voxels; three targets, the third at empty cells too."""
    return Parts(
        masker=PredictVisible(masker=small.masker(modality)),
        decoders={"main": replace(small.DECODER, visible="own")},
        objectives=_objectives(*content(modality)),
    )


def _objectives(
    points: Objective, count: Objective, occupied: Objective
) -> tuple[Objective, Objective, Objective]:
    """Places within the voxel; and whether it is occupied, also of visible voxels."""
    return replace(points, head=TanhHead()), count, replace(occupied, where="all")


def cpu(modality: str = "voxels") -> Recipe:
    """Voxel-MAE on the sample data, in minutes on two CPU cores.

    Modalities: voxels
    Paper: https://arxiv.org/abs/2207.00531; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"voxelmae-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: voxels
    Paper: https://arxiv.org/abs/2207.00531
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def base() -> Recipe:
    """Voxel-MAE on nuScenes, 200 epochs, for 8 GPUs.

    Cost: not stated in the official repository. Result: +1.75 mAP and +1.05 NDS over training from
    scratch; 40 % of the labels do as well as all without it (abstract).
    Command: accelerate launch -m omnimask pretrain recipes.voxelmae:base --set data.root=...

    Modalities: voxels
    Paper: https://arxiv.org/abs/2207.00531;
        configs/sst_masked/sst_nuscenes_2sweeps-remove_close-cpf-scaled_masked_200e_ED8.py
    Status: makes steps at this size on the sample data; not trained at this size here
    """
    style = BlockStyle(mlp_ratio=2.0)  # feed-forward width 256
    points, count, occupied = _objectives(*content("voxels"))
    return Recipe(
        name="voxelmae-base",
        modalities=(
            VoxelGrid(
                voxel_size_m=(0.5, 0.5, 8.0),
                range_m=((-50.0, 50.0), (-50.0, 50.0), (-5.0, 3.0)),
                max_voxels=8192,
                points_per_voxel=100,
                empty_share=0.1,
            ),
        ),
        masker=PredictVisible(masker=RandomMask(ratio=0.7)),
        encoder=Encoder(width=128, depth=16, num_heads=8, style=style, class_token=False),
        decoders={
            "main": SelfAttentionDecoder(
                width=128, depth=12, num_heads=8, style=style, visible="own"
            )
        },
        objectives=(
            replace(points, target=VoxelPoints(num_points=10)),
            replace(count, target=VoxelCount(scale="linear")),
            occupied,
        ),
        data=nuscenes_sweeps(batch_size=_BATCH),
        optim=Optim(
            steps=steps_of(epochs=200, samples=NUSCENES, batch=_BATCH),
            lr=5e-4,
            final_lr=5e-11,
            warmup_steps=1000,
            weight_decay=0.001,
            betas=(0.95, 0.99),
            clip_norm=10.0,
        ),
        run=Run(num_workers=12, checkpoint_every=2_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.voxelmae:cpu", *sys.argv[1:]]))
