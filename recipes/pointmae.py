"""Point-MAE: hide 60 % of a cloud's point groups, reconstruct the points of each around its centre.

Masked Autoencoders for Point Cloud Self-supervised Learning, https://arxiv.org/abs/2203.06604;
official code Pang-Yatian/Point-MAE. A cloud is cut into overlapping groups of neighbouring points;
the encoder sees the points of some groups, the decoder is told the centres of the others and
predicts their points as a set.

Deviations from the official code:
- The token embedding has LayerNorm in place of BatchNorm (modalities/points/embedding.py), since a
  token must not depend on the batch.
- Queries, keys and values have a bias.
- The per-modality vector of the encoder has no counterpart. Warm-up and cosine move with every
  step, there with every epoch, the warm-up from 1e-6.
- Clouds are turned until z is up. Sampling, augmentation and masks are functions of (seed, epoch,
  sample); farthest points start at a fixed point.

The loss equals a k-d tree's neighbours (tests/parity/test_chamfer.py). There is no parity test of
the whole step: no library on the package index has this model.

The small size has the target and weight of all methods on points, recipes/small.py: squared
distances in a group are tiny.
"""

import sys
from dataclasses import replace

from modalities.points import PointGroups, chamfer_l2
from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import RandomMask
from omnimask.network.encoder import vit
from omnimask.objectives.objective import Objective
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim, Run
from recipes import small
from recipes.published import shapenet, steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = ("points",)
SHAPENET_55 = 41_952  # the lines of train.txt, https://arxiv.org/abs/2108.08839, section 4.1
BATCH = 128  # cfgs/pretrain.yaml, total_bs


def parts(modality: str) -> Parts:
    """Random groups, their points by the squared Chamfer distance."""
    return Parts(
        masker=small.masker(modality),
        decoders={"main": replace(small.DECODER, places_every_block=True)},
        objectives=content(modality),
    )


def cpu(modality: str = "points") -> Recipe:
    """Point-MAE on the sample data, in minutes on two CPU cores.

    Modalities: points
    Paper: https://arxiv.org/abs/2203.06604; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    encoder = replace(small.ENCODER, places_every_block=True)
    return small_recipe(f"pointmae-cpu-{modality}", parts(modality), [modality], encoder=encoder)


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: points
    Paper: https://arxiv.org/abs/2203.06604
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def schedule() -> Optim:
    """cfgs/pretrain.yaml and tools/builder.py: 300 epochs, 10 of warm-up, AdamW's own betas."""
    return Optim(
        steps=steps_of(epochs=300, samples=SHAPENET_55, batch=BATCH),
        lr=1e-3,
        final_lr=1e-6,
        warmup_steps=steps_of(epochs=10, samples=SHAPENET_55, batch=BATCH),
        weight_decay=0.05,
        betas=(0.9, 0.999),
        clip_norm=None,
    )


def base() -> Recipe:
    """Point-MAE on ShapeNet-55, 300 epochs, for 8 GPUs.

    The paper has this one size: 12 blocks of width 384. Cost: not in the official repository.
    Result: 93.8 % on ModelNet40 and 85.18 % on ScanObjectNN's hardest split, fine-tuned.
    Command: accelerate launch -m omnimask pretrain recipes.pointmae:base --set data.root=...

    Modalities: points
    Paper: https://arxiv.org/abs/2203.06604, section 4.1; cfgs/pretrain.yaml
    Status: makes steps at this size on the sample data; not trained at this size here
    """
    return Recipe(
        name="pointmae-base",
        modalities=(PointGroups(num_points=1024, num_groups=64, group_size=32),),
        masker=RandomMask(ratio=0.6),
        encoder=replace(vit("small"), class_token=False, drop_path=0.1, places_every_block=True),
        decoders={
            "main": SelfAttentionDecoder(
                width=384, depth=4, num_heads=6, places_every_block=True, drop_path=0.1
            )
        },
        objectives=(
            Objective(name="points_groups", modality="points", target=Content(), loss=chamfer_l2),
        ),
        data=shapenet(batch_size=BATCH),
        optim=schedule(),
        run=Run(num_workers=12, checkpoint_every=2_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.pointmae:cpu", *sys.argv[1:]]))
