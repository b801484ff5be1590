"""CAPI: predict which cluster a hidden token's teacher feature belongs to.

Cluster and Predict Latent Patches for Improved Masked Image Modeling,
https://arxiv.org/abs/2502.08769; official code facebookresearch/capi. Tokens of an EMA teacher are
assigned to prototypes by Sinkhorn, balanced at every position over the batch; the prototypes learn
by an optimizer of their own, and a cross-attention predictor learns the assignments of a few
hidden tokens.

Deviations. The predictor's last norm has weights, there not; linear layers have biases, there not.
Rotary frequencies are ours, registers stand nowhere instead of along the border, and the predictor
has additive places instead of rotary ones, and drops no branches. The EMA's decay rises linearly,
and there is none of the official warm-up of it. Norm weights do not decay and the patch
embedding has the common rate (official: a tenth of the decay, a fifth of the rate). Prototypes do
not decay (there AdamW's default 0.01). Under accumulation every micro-batch is clustered by
itself. tests/unit/objectives/test_sinkhorn.py and test_clusters.py compare the clustering with
plain references.

On modalities without a grid a token's number means nothing: there the whole batch is balanced, and
masks are random.
"""

import sys
from dataclasses import replace

from modalities.image import ImagePatches
from omnimask.commands.main import main
from omnimask.decoders import CrossAttentionDecoder
from omnimask.masking import InverseBlockMask, PredictShare, RandomMask
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import vit
from omnimask.objectives.clusters import OnlineClusters
from omnimask.objectives.heads import CosineHead
from omnimask.objectives.objective import Objective, TemperedCrossEntropy
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import CosineSchedule, Optim, Run, TargetOptim
from omnimask.recipe.teacher import Teacher
from recipes import small
from recipes.published import IMAGENET_MEAN, IMAGENET_STD, imagenet
from recipes.small import Parts, debug_size, latent, small_recipe

MODALITIES = small.MODALITIES
ASPECT = (0.5, 2.0)


def parts(modality: str) -> Parts:
    """CAPI on any modality; it predicts a larger share, since there are only tens of tokens."""
    grid = modality in small.GRIDS
    mask = (
        InverseBlockMask(ratio=0.65, block=None, aspect=ASPECT, roll=True)
        if grid
        else RandomMask(ratio=0.65)
    )
    return Parts(
        masker=PredictShare(masker=mask, share=0.5),
        decoders={"main": CrossAttentionDecoder(width=64, depth=2, num_heads=4)},
        objectives=(_clusters(modality, OnlineClusters(num_prototypes=64, position_wise=grid)),),
        teacher=Teacher(decay=0.98, final_decay=0.998),
    )


def _clusters(modality: str, target: OnlineClusters) -> Objective:
    """Cosines at temperature 0.12."""
    loss = TemperedCrossEntropy(temperature=0.12)
    return replace(latent(modality, target, loss), head=CosineHead())


def cpu(modality: str = "image") -> Recipe:
    """CAPI on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2502.08769; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"capi-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2502.08769
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def large() -> Recipe:
    """CAPI ViT-L/14, 500,000 steps of 16,384 images, for 32 GPUs; published on ImageNet-22k.

    Cost: 4 nodes in the configuration, hours not stated there. Result: 83.8 % IN-1K with an
    attentive probe, 32.1 mIoU on ADE20K (abstract).
    Command: accelerate launch -m omnimask pretrain recipes.capi:large --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2502.08769; settings of default_pretrain_config.yaml and model.py
    Status: steps at debug size on the sample data; not trained at this size here
    """
    style = BlockStyle(norm="rms", norm_eps=1e-5)
    steps, warmup = 500_000, 50_000
    # truncate_cos: after the warm-up four fifths of half a cosine.
    horizon = (warmup + (steps - warmup) / 0.8) / steps
    return Recipe(
        name="capi-large",
        modalities=(
            ImagePatches(size=(224, 224), patch=(14, 14), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ),
        masker=PredictShare(
            masker=InverseBlockMask(ratio=0.65, block=None, aspect=ASPECT, roll=True), share=0.05
        ),
        encoder=replace(
            vit("large"),
            style=style,
            positions="rotary",
            class_token=False,
            num_registers=16,
            norm_weights=False,  # final_norm_kwargs
            drop_path=0.2,
        ),
        decoders={"main": CrossAttentionDecoder(width=1024, depth=12, num_heads=16, style=style)},
        objectives=(_clusters("image", OnlineClusters()),),
        data=imagenet(batch_size=512, crop_scale=(0.6, 1.0)),
        optim=Optim(
            steps=steps,
            lr=1e-3,
            final_lr=0.0,
            warmup_steps=warmup,
            schedule=CosineSchedule(horizon=horizon),
            weight_decay=0.1,
            betas=(0.9, 0.95),
            clip_norm=None,
            accumulate=32,
            targets=TargetOptim(lr=5e-4, betas=(0.9, 0.95)),
        ),
        teacher=Teacher(decay=0.999, final_decay=1.0),
        run=Run(num_workers=20, checkpoint_every=3_750),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.capi:cpu", *sys.argv[1:]]))
