"""CrossMAE: hidden patches are read out one by one, and only some of them.

Rethinking Patch Dependence for Masked Autoencoders, https://arxiv.org/abs/2401.14391; official code
TonyLianLong/CrossMAE. Mask tokens attend to the encoded patches but not to one another, so that any
part of the hidden patches can be decoded alone; each decoder block reads its own learned mix of all
encoder blocks.

Deviations: those of recipes/mae.py. The official encoder has no final norm; ours has one without
weights, which the decoder does not read: it reads all blocks and the patch embeddings, as with
`--use_input`. No parity test of the whole step; tests/unit/decoders/test_cross_attention.py has the
mix.
"""

import sys
from dataclasses import replace

from omnimask.commands.main import main
from omnimask.decoders import CrossAttentionDecoder
from omnimask.masking import PredictShare, RandomMask
from omnimask.network.encoder import vit
from omnimask.recipe.recipe import Recipe
from recipes import mae, small
from recipes.published import IMAGENET_1K, steps_of
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.MODALITIES
# As deep as the encoder, like the published one.
ENCODER = replace(small.ENCODER, norm_weights=False)
DECODER = CrossAttentionDecoder(
    width=64, depth=small.ENCODER.depth, num_heads=4, mix_layers="inputs"
)
_BATCH = 4096  # the README's command: 4 GPUs of 1024


def parts(modality: str, *, share: float = 1 / 3) -> Parts:
    """CrossMAE on any modality, at its own mask ratio; predicts a `share` of the hidden tokens.

    A third is the paper's prediction ratio of 0.25 of all patches at a mask ratio of 0.75.
    """
    return Parts(
        masker=PredictShare(masker=small.masker(modality), share=share),
        decoders={"main": DECODER},
        objectives=content(modality),
    )


def cpu(modality: str = "image") -> Recipe:
    """CrossMAE on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2401.14391; sizes are ours
    Status: trains; docs/methods.md has its probes
    """
    return small_recipe(f"crossmae-cpu-{modality}", parts(modality), [modality], encoder=ENCODER)


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2401.14391
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(size: str, *, predicted: float) -> Recipe:
    """`predicted` is the official `kept_mask_ratio`, a share of all patches."""
    recipe = mae.base()  # "following MAE's hyperparameters", but for what stands here
    share = predicted / 0.75
    width, num_heads = (256, 8) if size == "small" else (512, 16)  # models_cross.py
    hiding = RandomMask(ratio=0.75)
    return replace(
        recipe,
        name=f"crossmae-{size}-{predicted:g}",
        encoder=replace(vit(size), norm_weights=False),
        masker=PredictShare(masker=hiding, share=share) if share < 1 else hiding,
        decoders={
            "main": CrossAttentionDecoder(  # --decoder_depth 12 --weight_fm for all sizes
                width=width, depth=12, num_heads=num_heads, mix_layers="inputs"
            )
        },
        optim=replace(
            recipe.optim,
            lr=share * 1.5e-4 * _BATCH / 256,  # main_pretrain.py scales it by the share as well
            steps=steps_of(epochs=800, samples=IMAGENET_1K, batch=_BATCH),
        ),
    )


def base() -> Recipe:
    """CrossMAE ViT-B/16 predicting a quarter of the patches, 800 epochs, for 8 GPUs.

    Cost: not in GPU hours; 2.5 to 3.7 times less decoding compute than MAE (abstract of version 1).
    Command: accelerate launch -m omnimask pretrain recipes.crossmae:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2401.14391; settings of the official README's command
    Status: not trained at this size here
    """
    return _published("base", predicted=0.25)


def small_all() -> Recipe:
    """CrossMAE ViT-S/16 predicting all hidden patches, 800 epochs, for 8 GPUs.

    Result: 79.3 % fine-tuned (README of the official code).

    Modalities: image
    Paper: https://arxiv.org/abs/2401.14391; the README's checkpoint vits-mr0.75-kmr0.75-dd12
    Status: not trained at this size here
    """
    return _published("small", predicted=0.75)


def base_all() -> Recipe:
    """CrossMAE ViT-B/16 predicting all hidden patches, 800 epochs, for 8 GPUs.

    Result: 83.7 % fine-tuned (README of the official code).

    Modalities: image
    Paper: https://arxiv.org/abs/2401.14391; the README's checkpoint vitb-mr0.75-kmr0.75-dd12
    Status: not trained at this size here
    """
    return _published("base", predicted=0.75)


def large_all() -> Recipe:
    """CrossMAE ViT-L/16 predicting all hidden patches, 800 epochs, for 8 GPUs.

    Result: 85.4 % fine-tuned (README of the official code).

    Modalities: image
    Paper: https://arxiv.org/abs/2401.14391; the README's checkpoint vitl-mr0.75-kmr0.75-dd12
    Status: not trained at this size here
    """
    return _published("large", predicted=0.75)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.crossmae:cpu", *sys.argv[1:]]))
