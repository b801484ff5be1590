"""dBOT: regress the features of the last stage's student; the first stage's teacher is untrained.

Exploring Target Representations for Masked Autoencoders, https://arxiv.org/abs/2209.03917; official
code liuxingbin/dbot (main_pretrain.py, models_mae.py). MAE's layout, but hidden tokens are asked
for what a frozen teacher says of them, normalised token by token. The teacher is at first the
student's own random start; at each later stage it takes the student's weights, and the student
begins anew. What the first teacher is matters little, is the paper's finding.

Deviations beside those of recipes/mae.py. The official loss counts [CLS] as well as hidden patches;
here hidden patches. A token's features are normalised by the deviation over d, there over d - 1.
First teachers without blocks (`--init_teacher_encoder_depth 0`) have no counterpart.
"""

import sys
from dataclasses import replace

from omnimask.commands.main import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.objectives.objective import SmoothL1
from omnimask.objectives.targets import TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import SnapshotTeacher
from recipes import mae, small
from recipes.small import Parts, debug_size, latent, small_recipe

MODALITIES = small.MODALITIES
# The last block's output, not through the encoder's norm (tlayernorm 0).
TARGET = TeacherFeatures(layers=(-1,), norm="layer")
LOSS = SmoothL1(beta=2.0)
STAGES = SnapshotTeacher(at=(0.5,))  # stage_epochs 0 and 800 of 1600


def parts(modality: str) -> Parts:
    """dBOT on any modality, at its own mask ratio, in two stages."""
    return Parts(
        masker=small.masker(modality),
        decoders={"main": small.DECODER},
        objectives=(latent(modality, TARGET, LOSS),),
        teacher=STAGES,
    )


def cpu(modality: str = "image") -> Recipe:
    """dBOT on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2209.03917; sizes are ours
    Status: trains
    """
    return small_recipe(f"dbot-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size, two in each stage: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2209.03917
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def base() -> Recipe:
    """dBOT ViT-B/16 on ImageNet-1k, two stages of 800 epochs, for 8 GPUs.

    Cost: not stated. Result: 84.5 % fine-tuned (official README).
    Command: accelerate launch -m omnimask pretrain recipes.dbot:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2209.03917; defaults of the official main_pretrain.py, the drop
        path of 0.2 and the gradient norm of 3 are to be checked with the paper's appendix
    Status: not trained at this size here
    """
    recipe = mae.base()
    decoder = SelfAttentionDecoder(width=512, depth=8, num_heads=16, drop_path=0.2)
    return replace(
        recipe,
        name="dbot-base",
        encoder=replace(recipe.encoder, drop_path=0.2),  # --sdpr
        decoders={"main": decoder},
        objectives=(latent("image", TARGET, LOSS),),
        teacher=STAGES,
        optim=replace(recipe.optim, clip_norm=3.0),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.dbot:cpu", *sys.argv[1:]]))
