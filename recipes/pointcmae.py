"""Point-CMAE: two masks of one cloud, and what is hidden in both must decode to the same feature.

Bringing Masked Autoencoders Explicit Contrastive Properties for Point Cloud Self-Supervised
Learning, https://arxiv.org/abs/2407.05862; official code Amazingren/Point-CMAE. Point-MAE on two
random masks of every sample; a token that both hide has two decoded features, made from different
evidence, and their cosine similarity is a second objective. Nothing in it is bound to points.

Deviations from the official code, beside those of recipes/pointmae.py:
- A token is compared with itself under the other mask, as the paper says. The code compares each
  token that both masks hide with all tokens of the other copy, visible ones included, which pulls
  it towards their mean.
- One decoder, mask token and [CLS] for both masks; there two of each, with weights of their own.
  (The projection of [CLS] that the code has is in no loss.)
- The similarity is that of a linear prediction from one feature with the other, held fixed, in both
  directions; there of the two features, with gradient through both. Without the linear layer the
  gradients would be the same at weight 2, which `base` has.
- Chamfer: the mean over both masks' tokens, so that the weight 2000 is the official 1000 times the
  sum of both masks' means.
"""

import sys
from dataclasses import replace

from omnimask.commands.main import main
from omnimask.masking import Copies
from omnimask.objectives.late_targets import OtherCopy
from omnimask.objectives.objective import Objective, cosine
from omnimask.recipe.recipe import Recipe
from recipes import pointmae, small
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.MODALITIES


def _agreement(modality: str, *, width: int, weight: float) -> Objective:
    return Objective(
        name=f"{modality}_agreement",
        modality=modality,
        target=OtherCopy(decoder="main", width=width),
        loss=cosine,
        weight=weight,
    )


def parts(modality: str) -> Parts:
    """Two masks at the ratio of that modality's own paper, its content, and the agreement."""
    agreement = _agreement(modality, width=small.DECODER.width, weight=1.0)
    return Parts(
        masker=Copies(masker=small.masker(modality), copies=2),
        decoders={"main": small.DECODER},
        objectives=(*content(modality), agreement),
    )


def cpu(modality: str = "points") -> Recipe:
    """Point-CMAE on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2407.05862; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"pointcmae-cpu-{modality}", parts(modality), [modality])


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: points
    Paper: https://arxiv.org/abs/2407.05862
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def base() -> Recipe:
    """Point-CMAE on ShapeNet-55, 300 epochs, for 8 GPUs.

    Cost: hours not stated; scripts/pretrain_job.sh takes one A100. Result: above Point-MAE with the
    plain transformer (paper).
    Command: accelerate launch -m omnimask pretrain recipes.pointcmae:base --set data.root=...

    Modalities: points
    Paper: https://arxiv.org/abs/2407.05862; cfgs/pretrain.yaml and tools/runner_pretrain.py
    Status: makes steps at this size on the sample data; not trained at this size here
    """
    recipe = pointmae.base()
    (chamfer,) = recipe.objectives
    return replace(
        recipe,
        name="pointcmae-base",
        masker=Copies(masker=recipe.masker, copies=2),
        encoder=replace(recipe.encoder, class_token=True),
        objectives=(
            replace(chamfer, weight=2000.0),
            _agreement("points", width=384, weight=2.0),
        ),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.pointcmae:cpu", *sys.argv[1:]]))
