"""CRATE-MAE: a masked autoencoder of white-box blocks.

Masked Completion via Structured Diffusion with White-Box Transformers,
https://arxiv.org/abs/2404.02446; official code Ma-Lab-Berkeley/CRATE, model/crate_ae. An encoder's
block compresses its tokens against learned subspaces and takes one step of sparse coding; a
decoder's block undoes the two in turn. Every layer has a stated purpose, and far fewer weights than
a ViT's.

As in the official code, mask tokens stand in the encoder, which sees all places, and the decoder
has neither mask tokens nor positions of its own.

Deviations. Norms in blocks have eps 1e-5 there and the last 1e-6, here 1e-5 all. The optimizer, the
batch and the epochs are MAE's: the official repository has no pretraining script, so that they are
to be checked with the paper's appendix. The per-modality vector has no counterpart. The blocks
equal their formulas in numpy (tests/unit/network/test_crate.py).
"""

import sys
from dataclasses import replace

from omnimask.commands.main import main
from omnimask.decoders import ReplacedDecoder
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import Encoder
from omnimask.recipe.recipe import Recipe
from recipes import mae, small
from recipes.small import Parts, content, debug_size, small_recipe

MODALITIES = small.MODALITIES
CODING = BlockStyle(kind="crate", norm_eps=1e-5)
DECODING = BlockStyle(kind="crate_inverse", norm_eps=1e-5)
ENCODER = replace(small.ENCODER, style=CODING)


def parts(modality: str) -> Parts:
    """CRATE-MAE on any modality, at its own mask ratio; a decoder as deep as the encoder."""
    return Parts(
        masker=small.masker(modality),
        decoders={"main": ReplacedDecoder(depth=ENCODER.depth, style=DECODING)},
        objectives=content(modality),
        hidden="replace",
    )


def cpu(modality: str = "image") -> Recipe:
    """CRATE-MAE on the sample data of one modality, in minutes on two CPU cores.

    Modalities: all of the sample data (the argument)
    Paper: https://arxiv.org/abs/2404.02446; sizes are ours
    Status: trains
    """
    return small_recipe(f"cratemae-cpu-{modality}", parts(modality), [modality], encoder=ENCODER)


def debug() -> Recipe:
    """Four steps of the cpu size: what the tests run.

    Modalities: image
    Paper: https://arxiv.org/abs/2404.02446
    Status: runs in seconds; learns nothing of use
    """
    return debug_size(cpu())


def _published(name: str, width: int, num_heads: int) -> Recipe:
    encoder = Encoder(width=width, depth=12, num_heads=num_heads, style=CODING)
    return replace(
        mae.base(),
        name=f"cratemae-{name}",
        encoder=encoder,
        hidden="replace",
        decoders={"main": ReplacedDecoder(depth=encoder.depth, style=DECODING)},
    )


def small_size() -> Recipe:
    """CRATE-MAE-S/16, width 576, on ImageNet-1k, for 8 GPUs.

    Cost and result: see the paper's tables.

    Modalities: image
    Paper: https://arxiv.org/abs/2404.02446; mae_crate_small of the official crate_ae.py
    Status: not trained at this size here
    """
    return _published("small", 576, 12)


def base() -> Recipe:
    """CRATE-MAE-B/16 on ImageNet-1k, for 8 GPUs.

    Cost and result: see the paper's tables.
    Command: accelerate launch -m omnimask pretrain recipes.cratemae:base --set data.root=...

    Modalities: image
    Paper: https://arxiv.org/abs/2404.02446; mae_crate_base of the official crate_ae.py
    Status: not trained at this size here
    """
    return _published("base", 768, 12)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.cratemae:cpu", *sys.argv[1:]]))
